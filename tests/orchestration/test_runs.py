"""Whole runs of a project in miniature, under every runner and environment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.framework.project import pipelines
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import UserError, is_complete
from d2vlm_pipeline.orchestration.project import data_root, tracking_config

Run = Callable[..., Any]


@pytest.mark.parametrize(
    "runner",
    [
        SequentialRunner,
        ThreadRunner,
        pytest.param(ParallelRunner, marks=[pytest.mark.slow, pytest.mark.ci_sample]),
    ],
)
def test_a_run_publishes_every_output_whole(
    project: Path, run_session: Run, runner: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    run_session(runner=runner())
    assert (project / "data/06_models/fpo/2.txt").read_text() == "10*2+3\n"
    for name in ("03_primary/points.jsonl", "06_models/sft", "06_models/fpo", "08_reporting/metrics.json"):
        assert is_complete(project / "data" / name)


def test_the_main_job_is_every_stage_in_order_and_nothing_beside_it(project: Path) -> None:
    pipelines.set_requested(None)
    names = [node.name for node in pipelines["__default__"].nodes]
    assert names == ["read_points", "train_sft", "train_fpo", "score_models", "promote_model"]
    assert "align" in pipelines


def test_one_pipeline_is_found_without_the_others(project: Path) -> None:
    pipelines.set_requested(["fpo"])
    assert [node.name for node in pipelines["fpo"].nodes] == ["train_fpo"]
    assert "sft" not in pipelines


def test_environments_keep_apart(project: Path, run_session: Run) -> None:
    run_session(env="smoke")
    assert (project / "data/smoke/06_models/sft/1.txt").read_text() == "2*1\n"
    assert not (project / "data/06_models").exists()
    assert data_root(project, "smoke") == project / "data/smoke"


def test_environments_say_only_what_differs(project: Path, run_session: Run) -> None:
    run_session("ingestion", "sft", env="smoke", params={"points": {"count": 1}})
    assert [path.name for path in sorted((project / "data/smoke/06_models/sft").glob("*.txt"))] == ["0.txt"]


def test_a_run_is_one_mlflow_run_with_flat_parameters(project: Path, run_session: Run) -> None:
    run_session("ingestion", "sft")
    config = tracking_config(project)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    assert experiment.artifact_location == (project / "mlruns/artifacts").as_uri()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["points.count"] == "3"
    assert run.data.params["sft.optimiser.rate"] == "0.5"
    assert mlflow.active_run() is None
    assert (project / "mlruns/mlflow.db").stat().st_size > 0


def test_the_store_stays_in_the_project_wherever_the_run_starts(
    project: Path, run_session: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    (project / "mlruns/mlflow.db").unlink()
    (project / "mlruns/smoke/mlflow.db").unlink()
    (project / "mlruns/smoke").rmdir()
    (project / "mlruns").rmdir()
    run_session("ingestion")
    assert (project / "mlruns/mlflow.db").is_file()
    assert list(below.iterdir()) == []


def test_missing_input_names_the_pipelines_to_run(run_session: Run) -> None:
    run_session("ingestion")
    with pytest.raises(UserError) as error:
        run_session("fpo")
    assert str(error.value) == (
        "sft_model is missing (data/06_models/sft): run `kedro run --pipelines sft` first"
    )


def test_of_several_missing_inputs_the_last_in_the_chain_leads(run_session: Run) -> None:
    with pytest.raises(UserError) as error:
        run_session("fpo", env="smoke")
    assert str(error.value) == (
        "sft_model is missing (data/smoke/06_models/sft): "
        "run `kedro run --env smoke --pipelines ingestion,sft` first (also not there: points)"
    )


def test_a_half_written_input_is_as_good_as_missing(project: Path, run_session: Run) -> None:
    run_session("ingestion", "sft")
    (project / "data/06_models/sft/MANIFEST.json").unlink()
    with pytest.raises(UserError, match=r"sft_model is incomplete \(data/06_models/sft\)"):
        run_session("fpo")


def test_a_refused_run_leaves_no_mlflow_run(project: Path, run_session: Run) -> None:
    with pytest.raises(UserError):
        run_session("fpo")
    config = tracking_config(project)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None and client.search_runs([experiment.experiment_id]) == []


def test_only_missing_outputs_runs_the_rest(project: Path, run_session: Run) -> None:
    run_session("ingestion", "sft", "fpo")
    (project / "data/03_primary/points.jsonl").unlink()
    (project / "data/06_models/fpo/MANIFEST.json").unlink()
    run_session("ingestion", "sft", "fpo", only_missing_outputs=True)
    assert json.loads((project / "data/06_models/fpo/MANIFEST.json").read_text())["files"]
