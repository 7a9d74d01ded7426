"""What a run keeps of its training becomes LoggedModels, tied to what they were made from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError
from mlflow.entities import LoggedModel
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import atomic_directory, canonical_json, digest_json, read_manifest
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.tracking import TrackingConfig
from d2vlm_pipeline.training.checkpoints import CheckpointRecord, Job
from orchestration.conftest import CATALOG
from orchestration.test_lineage import lineage

Run = Callable[..., Any]
JOB = Job(configuration="a", start_model="b", examples="c", code="d", workers=1)


def checkpoint(folder: Path, step: int, loss: float) -> None:
    """A checkpoint as training leaves it, as far as anybody else reads it."""
    points = [{"step": float(step), "loss": loss}]
    record = CheckpointRecord(phase=folder.name, job=JOB, step=step, points=points)
    with atomic_directory(folder / f"step-{step:08d}") as place:
        (place / "checkpoint.json").write_text(canonical_json(record))


@pytest.fixture
def trained(project: Path) -> Path:
    """A project whose SFT keeps two checkpoints, beside those of a phase that it does not run."""
    catalog = project / "conf/base/catalog.yml"
    said = CATALOG.replace('made_by: "{system}",', 'made_by: "{system}", checkpoints: ["{system}"],')
    catalog.write_text(said.replace("announce: scores", "mlflow: scores"))
    parameters = project / "conf/base/parameters.yml"
    parameters.write_text(parameters.read_text() + "  checkpoints: {folder: data/06_models/checkpoints}\n")
    for name, steps in {"sft": (1, 2), "fpo": (9,)}.items():
        for step in steps:
            checkpoint(project / "data/06_models/checkpoints" / name, step, 1.0 / step)
    return project


def store_of(project: Path) -> tuple[TrackingConfig, MlflowClient]:
    config = tracking_config(project)
    return config, MlflowClient(tracking_uri=config.tracking_uri)


def logged(project: Path) -> dict[str, LoggedModel]:
    config, client = store_of(project)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    found = client.search_logged_models([experiment.experiment_id])
    assert len({model.name for model in found}) == len(found)
    return {model.name: model for model in found}


def test_models_and_kept_checkpoints_become_logged_models_with_their_losses(
    trained: Path, run_session: Run
) -> None:
    run_session("ingestion", "sft")
    found = logged(trained)
    assert set(found) == {"sft-step-00000001", "sft-step-00000002", "sft_model"}
    places = {name: trained / model.tags["path"] for name, model in found.items()}
    assert places["sft_model"] == trained / "data/06_models/sft"
    for name, model in found.items():
        assert model.params["digest"] == digest_json(read_manifest(places[name]))
        assert str(model.status) == "READY" and model.params["phase"] == "sft"
        assert model.tags["dataset.points"] == lineage(trained)["outputs"]["points"]["digest"]
    metrics = {name: {m.key: (m.value, m.step) for m in model.metrics or []} for name, model in found.items()}
    last = {"model/loss": (0.5, 2)}
    assert metrics == {
        "sft-step-00000001": {"model/loss": (1.0, 1)},
        "sft-step-00000002": last,
        "sft_model": last,
    }
    assert found["sft_model"].params["step"] == "2"


def test_a_run_names_the_datasets_and_the_models_that_it_made(trained: Path, run_session: Run) -> None:
    run_session("ingestion", "sft")
    _, client = store_of(trained)
    (run_id,) = {model.source_run_id for model in logged(trained).values()}
    run = client.get_run(run_id)
    ids = {model.model_id for model in logged(trained).values()}
    assert {output.model_id for output in run.outputs.model_outputs} == ids
    (entry,) = run.inputs.dataset_inputs
    assert entry.dataset.name == "points"
    assert json.loads(entry.dataset.source)["sha256"].startswith(entry.dataset.digest)


def test_a_model_that_is_evaluated_later_gets_its_scores_and_is_not_made_twice(
    trained: Path, run_session: Run
) -> None:
    run_session("ingestion", "sft", "fpo")
    before = logged(trained)
    run_session("evaluation")
    after = logged(trained)
    assert {name: model.model_id for name, model in after.items()} == {
        name: model.model_id for name, model in before.items()
    }
    (score,) = [metric for metric in after["fpo_model"].metrics or [] if "tvg" in metric.key]
    assert (score.key, score.value) == ("model/test-iid/tvg/f1", 61.5)
    assert not [metric for metric in after["sft_model"].metrics or [] if "tvg" in metric.key]


def test_a_run_that_fails_keeps_what_it_had_trained(trained: Path, run_session: Run) -> None:
    run_session("ingestion")
    catalog = trained / "conf/base/catalog.yml"
    catalog.write_text(catalog.read_text().replace("save_lines", "save_nothing"))
    with pytest.raises(DatasetError):
        run_session("sft")
    assert set(logged(trained)) == {"sft-step-00000001", "sft-step-00000002"}
