"""What a run of the project in miniature says of itself in MLflow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from kedro.io import DatasetError
from kedro.runner import ParallelRunner
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import digest_bytes, digest_file
from d2vlm_pipeline.orchestration import RayRunner
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.tracking import read_lineage
from d2vlm_pipeline.tracking.lineage import CONFIGURATION, read_logged

Run = Callable[..., Any]
NONE: dict[str, list[str]] = {"not_run": [], "skipped": [], "outside": []}


def last_run(project: Path, env: str | None = None) -> str:
    config = tracking_config(project, env)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    # Of ParallelRunner's processes kedro-mlflow opens runs of its own.
    runs = client.search_runs([experiment.experiment_id], "tags.`lineage.outcome` != ''")
    return str(runs[0].info.run_id)


def lineage(project: Path) -> dict[str, Any]:
    found = read_lineage(tracking_config(project), last_run(project))
    assert found is not None
    return found


def test_a_run_says_what_it_read_and_what_it_made(project: Path, run_session: Run) -> None:
    run_session("ingestion")
    run_session("sft", params={"sft": {"steps": 4}})
    found = lineage(project)
    assert found["outcome"] == "finished" and found["runner"] == "SequentialRunner"
    assert found["pipelines"] == ["sft"] and found["env"] == "local" and found["seed"] == 0
    assert found["nodes"] == {"run": ["train_sft"], **NONE}
    points = {"path": "data/03_primary/points.jsonl"}
    assert found["inputs"] == {
        "points": {**points, "digest": digest_file(project / points["path"]), "node": None}
    }
    assert found["outputs"]["sft_model"]["path"] == "data/06_models/sft"
    assert found["outputs"]["sft_model"]["node"] == "train_sft"
    assert found["git"]["commit"] is None and "git" in found["git"]["note"]


def test_a_run_carries_its_resolved_configuration_with_what_the_command_line_gave(
    project: Path, run_session: Run
) -> None:
    run_session("ingestion", params={"points": {"count": 2}, "password": "open sesame"})
    run_id = last_run(project)
    text = read_logged(tracking_config(project), run_id, CONFIGURATION)
    assert text is not None and digest_bytes(text) == lineage(project)["configuration"]
    found = yaml.safe_load(text)
    assert found["parameters"]["points"]["count"] == 2
    assert found["catalog"]["points"]["filepath"] == "data/03_primary/points.jsonl"
    assert b"sesame" not in text and str(project).encode() not in text


def test_no_password_is_logged_anywhere(project: Path, run_session: Run) -> None:
    folder = {"folder": "s3://me:hunter2@host/x"}
    run_session("ingestion", "sft", params={"sft": {"checkpoints": folder}, "password": "hunter2"})
    config, run_id = tracking_config(project), last_run(project)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    run = client.get_run(run_id)
    assert run.data.params["sft.checkpoints.folder"] == "s3://me:***@host/x"
    assert "s3://me:***@host/x" in run.data.params["sft"]
    assert "***" in run.data.tags["runtime_params"]
    logged = [*run.data.params.values(), *run.data.tags.values(), str(lineage(project))]
    artifacts = project / "mlruns/artifacts" / run_id
    files = [path.read_text() for path in artifacts.rglob("*") if path.is_file()]
    assert files and not any("hunter2" in text for text in [*logged, *files])


def test_a_run_that_fails_says_what_it_had_finished(project: Path, run_session: Run) -> None:
    with pytest.raises(DatasetError):
        run_session("ingestion", params={"points": {"bad_row": 1}})
    found = lineage(project)
    assert found["outcome"] == "failed" and found["outputs"] == {}
    assert found["nodes"] == {**NONE, "run": [], "not_run": ["read_points"]}


def test_nodes_that_were_up_to_date_are_named(project: Path, kedro_run: Callable[..., Result]) -> None:
    assert kedro_run("--pipelines", "ingestion").exit_code == 0
    assert kedro_run("--pipelines", "ingestion,sft").exit_code == 0
    assert lineage(project)["nodes"] == {**NONE, "run": ["train_sft"], "skipped": ["read_points"]}


def test_runs_are_found_by_what_they_were_made_from(project: Path, run_session: Run) -> None:
    run_session("ingestion")
    config, run_id = tracking_config(project), last_run(project)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    tags = {"lineage.outcome": "finished", "lineage.env": "local", "lineage.seed": "0"}
    found = client.search_runs(
        [client.get_run(run_id).info.experiment_id],
        " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items()),
    )
    assert [run.info.run_id for run in found] == [run_id]


@pytest.mark.slow
@pytest.mark.parametrize("runner", [ParallelRunner, RayRunner])
def test_runs_in_other_processes_say_the_same(
    project: Path, run_session: Run, runner: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    run_session("ingestion", "sft")
    expected = lineage(project)
    run_session("ingestion", "sft", runner=runner())
    found = lineage(project)
    assert found["runner"] == runner.__name__
    assert {**found, "runner": ""} == {**expected, "runner": ""}
