"""A node that makes a curve shows it while it grows, in the run that is open, and nobody else's."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.io import AbstractDataset
from kedro.pipeline import Node

from d2vlm_pipeline.orchestration.hooks import MlflowReportHooks
from d2vlm_pipeline.tracking import curve_target, log_curves, tracking_client


@pytest.fixture
def run_id(tmp_path: Path, _empty_store: Path) -> Iterator[str]:
    """An open run of a store of this test."""
    shutil.copy(_empty_store, tmp_path / "mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("d2vlm", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("d2vlm")
    with mlflow.start_run() as run:
        yield run.info.run_id
    mlflow.set_tracking_uri(before)


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, Any]:
    entry = {
        "type": "d2vlm_pipeline.orchestration.AtomicDataset",
        "filepath": str(tmp_path / "curves.json"),
        "dataset": {"type": "json.JSONDataset"},
        "metadata": {"made_by": "sft", "mlflow": "curves"},
    }
    return {"sft_curves": AbstractDataset.from_config("sft_curves", entry)}


def node(*outputs: str) -> Node:
    return Node(lambda: None, None, list(outputs), name="train")


def test_the_curve_of_the_node_that_runs_is_shown(run_id: str, catalog: dict[str, Any]) -> None:
    hooks = MlflowReportHooks()
    hooks.after_catalog_created(catalog)
    hooks.before_node_run(node("sft_model", "sft_curves"))
    target = curve_target()
    assert target is not None and (target.run_id, target.prefix) == (run_id, "sft")
    # What was shown while it grew is not logged again with the whole curve.
    points = [{"step": 1.0, "loss": 2.0}, {"step": 2.0, "loss": 1.0}]
    log_curves(target.tracking, run_id, points[:1], target.prefix)
    hooks.after_dataset_saved("sft_curves", {"points": points})
    history = tracking_client(target.tracking).get_metric_history(run_id, "sft/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (2, 1.0)]
    hooks.before_node_run(node("sft_model"))
    assert curve_target() is None


def test_without_a_run_nothing_is_shown(catalog: dict[str, Any]) -> None:
    hooks = MlflowReportHooks()
    hooks.after_catalog_created(catalog)
    hooks.before_node_run(node("sft_curves"))
    assert curve_target() is None
