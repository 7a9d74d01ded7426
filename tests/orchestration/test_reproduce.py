"""Runs of the project in miniature, made again from what they carry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import digest_bytes
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.tracking.lineage import CONFIGURATION, RECORD, find_lineage, log_lineage
from orchestration.test_lineage import last_run
from tracking.repositories import committed, git

Run = Callable[..., Any]


@pytest.fixture
def repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project in miniature, committed; processes find its code where this one does."""
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tests}:{tests.parent / 'src'}")
    committed(project)
    return project


def reproduce(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["reproduce", *arguments])


def refused(*arguments: str) -> str:
    """The one line that is said of a run that cannot be rebuilt."""
    result = reproduce(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.slow
@pytest.mark.ci_sample
def test_a_run_of_a_dirty_tree_is_made_again_with_its_inputs(repository: Path, run_session: Run) -> None:
    run_session("ingestion")
    parameters = repository / "conf/base/parameters.yml"
    parameters.write_text(parameters.read_text().replace("rate: 0.5", "rate: 0.25"))
    run_session("sft", "evaluation", "fpo", params={"sft": {"steps": 7}})
    parameters.write_text("points: {count: 1}\n")  # what came later has no say
    result = reproduce(last_run(repository), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rows = {row["name"]: row["verdict"] for row in found["comparison"]["outputs"]}
    assert rows == {"sft_model": "same", "fpo_model": "same", "metrics": "same"}
    checkout = Path(found["folder"])
    assert (checkout / "data/06_models/sft/2.txt").read_text() == "7*2\n"
    assert "rate: 0.25" in (checkout / "conf/base/parameters.yml").read_text()
    assert git(repository, "status", "--porcelain").splitlines() == ["M conf/base/parameters.yml"]


@pytest.mark.slow
def test_what_differs_is_named_with_the_node_that_made_it(repository: Path, run_session: Run) -> None:
    run_session("ingestion", "sft")
    tracking, run_id = tracking_config(repository), last_run(repository)
    client = MlflowClient(tracking_uri=tracking.tracking_uri)
    text = Path(client.download_artifacts(run_id, CONFIGURATION)).read_text()
    changed = yaml.safe_load(text)
    changed["parameters"]["sft"]["steps"] = 11
    client.log_text(run_id, yaml.safe_dump(changed), CONFIGURATION)
    assert "is not what was logged" in refused(run_id)  # its digest tells
    lineage = find_lineage(tracking, run_id)
    assert lineage is not None
    digest = digest_bytes(yaml.safe_dump(changed).encode())
    log_lineage(tracking, run_id, lineage.model_copy(update={"configuration": digest}))
    result = reproduce(run_id)
    assert result.exit_code == 1, result.output
    assert "differs: first sft_model, made by train_sft" in result.output


def test_a_run_without_a_commit_cannot_be_rebuilt(project: Path, run_session: Run) -> None:
    run_session("ingestion")
    run_id = last_run(project)
    assert refused(run_id).startswith(f"run {run_id} names no commit (")


def test_what_is_missing_is_named(
    repository: Path, run_session: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no run 0123456789; `mlflow ui` lists the runs" in refused("0123456789")
    run_session("ingestion")
    run_session("sft")
    tracking, run_id = tracking_config(repository), last_run(repository)
    client = MlflowClient(tracking_uri=tracking.tracking_uri)
    lineage = find_lineage(tracking, run_id)
    assert lineage is not None

    points = repository / "data/03_primary/points.jsonl"
    before = points.read_text()
    points.write_text('{"x": 9}\n')
    assert "input points has changed since: data/03_primary/points.jsonl" in refused(run_id)
    points.write_text(before)

    def logged(**changes: Any) -> None:
        log_lineage(tracking, run_id, lineage.model_copy(update=changes))

    logged(packages={**lineage.packages, "torch": "0.1"})
    assert "the run had other packages: torch 0.1 (installed: 2" in refused(run_id)
    logged(git=lineage.git.model_copy(update={"commit": "0" * 40}))
    assert "commit 0000000000000000000000000000000000000000 (of branch main) is not in" in refused(run_id)
    logged(git=lineage.git.model_copy(update={"patch": "0" * 64}))
    assert "its artifact lineage/tree.patch is missing" in refused(run_id)
    client.log_text(run_id, "{", RECORD)
    assert "lineage/lineage.json is damaged" in refused(run_id)


def test_a_folder_that_is_taken_is_left_as_it_is(repository: Path, run_session: Run, tmp_path: Path) -> None:
    run_session("ingestion")
    place = repository / "conf/local"
    assert f"{place} is not empty" in refused(last_run(repository), "--into", str(place))
    assert [path.name for path in place.iterdir()] == [".gitkeep"]
