"""What runs are held against each other by, and what a checkout is configured with."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from d2vlm_pipeline.artifacts import UserError, digest_file
from d2vlm_pipeline.orchestration.lineage.configuration import below, hidden_keys
from d2vlm_pipeline.orchestration.project import project_config
from d2vlm_pipeline.orchestration.reproduce.compare import (
    Comparison,
    OutputRow,
    made_otherwise,
    output_rows,
    score_rows,
    scores_of_ended,
)
from d2vlm_pipeline.orchestration.reproduce.environment import ENVIRONMENT, write_environment
from d2vlm_pipeline.orchestration.reproduce.inputs import Link, linked_inputs
from d2vlm_pipeline.orchestration.reproduce.recorded import require_packages
from d2vlm_pipeline.orchestration.reproduce.volatile import MEASURED_METRICS, volatile_rows
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.plan import Place
from d2vlm_pipeline.tracking.lineage import DataDigest, NodesRun
from tracking.test_lineage import a_lineage


def data(digest: str | None, node: str | None = None, path: str = "x") -> DataDigest:
    return DataDigest(path=path, digest=digest, node=node)


RECORDED = a_lineage(
    nodes=NodesRun(run=["render", "train", "promote"], outside=["promote"]),
    outputs={
        "decision": data("4", "promote"),
        "a_model": data("2", "train"),
        "curves": data("3", "train"),
        "world": data("1", "render"),
    },
)


def compared(rows: list[OutputRow], scores: Any = ()) -> Comparison:
    return Comparison(outputs=rows, scores=list(scores), scores_same=0, made_otherwise=[], left_out=[])


def test_outputs_are_compared_in_the_order_of_nodes_and_what_follows_the_champion_is_not() -> None:
    found = {"world": data("1"), "a_model": data("9"), "decision": data("4")}
    rows = output_rows(RECORDED, found, {})
    assert [(row.name, row.node, row.verdict) for row in rows] == [
        ("world", "render", "same"),
        ("a_model", "train", "differs"),
        ("curves", "train", "missing"),
    ]
    assert not compared(rows).is_same
    assert compared(rows).first == rows[1]
    assert compared(rows[:1]).is_same and compared(rows[:1]).first is None


def test_scores_are_the_same_value_or_named() -> None:
    nan = float("nan")
    before = {"a": 1.0, "b": 2.0, "gone": 3.0, "n": nan, "studies/cost/seconds": 5.0, "model/loss": 1.0}
    now = {"a": 1.0, "b": 2.0000001, "new": 0.0, "n": nan, "studies/cost/seconds": 6.0}
    rows, same = score_rows(before, now, MEASURED_METRICS)
    assert [(row.name, row.recorded, row.found) for row in rows] == [
        ("b", 2.0, 2.0000001),
        ("gone", 3.0, None),
        ("new", None, 0.0),
    ]
    assert same == 2 and not compared([], rows).is_same


def test_scores_of_an_interrupted_node_have_no_counterpart() -> None:
    before, now = {"sft/loss": 1.0, "fpo/loss": 2.0}, {"sft/loss": 1.5}
    assert scores_of_ended(before, now, "finished") == before
    assert scores_of_ended(before, now, "failed") == {"sft/loss": 1.0}
    rows, _ = score_rows(scores_of_ended(before, now, "running"), now, ())
    assert [(row.name, row.found) for row in rows] == [("sft/loss", 1.5)], "what ended is still compared"


def test_what_two_runs_were_made_from_is_named_where_it_differs() -> None:
    other = RECORDED.model_copy(
        update={
            "seed": 8,
            "packages": {"torch": "2.2", "extra": "1"},
            "machine": RECORDED.machine.model_copy(update={"cpu": "another"}),
            "env": "reproduced",
        }
    )
    assert made_otherwise(RECORDED, RECORDED) == []
    assert made_otherwise(RECORDED, other) == [
        "seed: 7 → 8",
        f"cpu: {RECORDED.machine.cpu} → another",
        "package extra: none → 1",
        "package torch: 2.1 → 2.2",
    ]


@pytest.mark.parametrize(
    ("changed", "verdict"), [({"cost": {"s": 2.0}}, "same"), ({"time": {"shift": 1.0}}, "differs")]
)
def test_studies_are_compared_without_their_times(
    tmp_path: Path, changed: dict[str, Any], verdict: str
) -> None:
    studies = {"cost": {"s": 1.0}, "time": {"shift": 0.0}}
    files = {"a": studies, "b": {**studies, **changed}}
    for name, content in files.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "studies.json").write_text(json.dumps({"studies": content}))
    before, now = (
        {"studies": data(digest_file(tmp_path / name / "studies.json"), "study", "studies.json")}
        for name in files
    )
    recorded = a_lineage(outputs=before, nodes=NodesRun(run=["study"]))
    contents = Contents(tmp_path / "read.json")
    volatile = volatile_rows(recorded, now, tmp_path / "a", tmp_path / "b", contents)
    (row,) = output_rows(recorded, now, volatile)
    assert (row.verdict, row.note) == (verdict, "compared without studies.cost")
    (tmp_path / "a" / "studies.json").write_text("{}")
    (row,) = output_rows(
        recorded, now, volatile_rows(recorded, now, tmp_path / "a", tmp_path / "b", contents)
    )
    assert row.verdict == "volatile" and "not there any more" in row.note


def test_a_checkout_is_configured_by_what_was_resolved_with_roots_of_its_own(tmp_path: Path) -> None:
    base = tmp_path / "conf/base"
    base.mkdir(parents=True)
    (base / "globals.yml").write_text("data_root: data\nmlflow_root: mlruns\nseed: 0\n")
    (base / "parameters.yml").write_text("seed: ${globals:seed}\nsft: {seed: '${seed}', extra: 1}\n")
    (base / "catalog.yml").write_text("{}\n")
    server = {"mlflow_tracking_uri": "postgresql://me:***@host/db"}
    recorded = {
        "env": "team",
        "globals": {"data_root": "/big/disk/data/", "mlflow_root": "mlruns/team", "seed": 0},
        "parameters": {"seed": 5, "sft": {"seed": 5, "extra": 2, "folder": "/big/disk/data/06_models"}},
        "catalog": {"points": {"type": "x", "filepath": "/big/disk/data/points.jsonl"}},
        "mlflow": {"server": server, "tracking": {"experiment": {"name": "d2vlm"}}},
    }
    write_environment(recorded, tmp_path)
    found = project_config(tmp_path / "conf", ENVIRONMENT)
    assert found["globals"]["data_root"] == "data/reproduced"
    assert found["parameters"] == {
        "seed": 5,
        "sft": {"seed": 5, "extra": 2, "folder": "data/reproduced/06_models"},
    }
    assert found["catalog"]["points"]["filepath"] == "data/reproduced/points.jsonl"
    assert found["mlflow"]["server"] == {"mlflow_tracking_uri": "sqlite:///mlruns/team/mlflow.db"}
    assert found["mlflow"]["tracking"]["experiment"] == {
        "name": "d2vlm",
        "create_experiment_kwargs": {"artifact_location": "mlruns/team/artifacts"},
    }
    text = (tmp_path / "conf" / ENVIRONMENT / "parameters.yml").read_text()
    assert "seed" not in yaml.safe_load(text)  # the root seed stands in globals.yml


def test_inputs_are_linked_with_their_markers_and_changed_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "points.jsonl").write_text("{}\n")
    (tmp_path / ".points.jsonl.sha256").write_text("marker")
    (tmp_path / "model/deep").mkdir(parents=True)
    (tmp_path / "model/deep/weights").write_text("w")
    contents = Contents(tmp_path / "read.json")
    target = {name: Place(tmp_path / "clone" / name, is_raw=True) for name in ("points.jsonl", "model")}
    inputs = {name: data(contents.of(tmp_path / name), path=name) for name in target}
    inputs["absent"] = data(None)
    links = linked_inputs(a_lineage(inputs=inputs), tmp_path, contents, target)
    for link in links:
        link.make()
    assert len(links) == 2
    assert (tmp_path / "clone/points.jsonl").read_text() == "{}\n"
    assert (tmp_path / "clone/.points.jsonl.sha256").read_text() == "marker"
    assert (tmp_path / "clone/model/deep/weights").samefile(tmp_path / "model/deep/weights")
    (tmp_path / "model/deep/weights").unlink()
    with pytest.raises(UserError, match=r"input model has changed since: model; `dvc checkout` may have it"):
        linked_inputs(a_lineage(inputs=inputs), tmp_path, contents, target)


def test_a_disk_that_takes_no_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "a").write_text("x")
    Link(tmp_path / "a", tmp_path / "below/b").make()
    assert (tmp_path / "below/b").read_text() == "x"


def test_packages_that_differ_stop_it_unless_it_is_said_that_they_do_not_matter() -> None:
    lineage = a_lineage(packages={"d2vlm-pipeline": "0.1", "torch": "2.1", "numpy": "2"})
    installed = {"d2vlm-pipeline": "0.2", "torch": "2.1", "numpy": "1", "more": "1"}
    with pytest.raises(UserError, match=r"had other packages: numpy 2 \(installed: 1\); install its"):
        require_packages(lineage, installed, "d2vlm-pipeline", is_despite=False)
    assert require_packages(lineage, installed, "d2vlm-pipeline", is_despite=True) == [
        "numpy 2 (installed: 1)"
    ]


def test_hidden_values_are_found_and_paths_below_the_root_are_relative() -> None:
    assert hidden_keys({"a": {"b": "s3://me:***@host"}, "c": [{"d": "***"}], "e": 1}) == ["a.b", "c.d"]
    root = Path("/home/me/project")
    given = {"uri": "sqlite:////home/me/project/mlruns/x.db", "n": (1, "/home/me/projects/y")}
    assert below(given, root) == {"uri": "sqlite:///mlruns/x.db", "n": [1, "/home/me/projects/y"]}
