"""What a run shows in MLflow: curves step by step, scores, pictures and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs, PersistedDataset

if TYPE_CHECKING:
    from d2vlm_pipeline.tracking import OpenRun


class MlflowReportHooks:
    """Logs datasets as they are saved, where `metadata.mlflow` says of which kind they are."""

    def __init__(self) -> None:
        """No catalog yet."""
        self._catalog: CatalogProtocol | None = None

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Remember where entries are looked up."""
        self._catalog = catalog

    @hook_impl(trylast=True)
    def before_node_run(self, node: Node) -> None:
        """Let a node that makes a curve show it while it grows."""
        from d2vlm_pipeline.tracking import CurveTarget, find_run, show_curves

        shown = {name: self._shown(name) for name in node.outputs}
        curves = [name for name, entry in shown.items() if entry and entry.metadata["mlflow"] == "curves"]
        target = None
        if curves and (run := find_run()):
            target = CurveTarget(run.tracking, run.run_id, _phase(curves[0]))
        show_curves(target)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log the dataset if its entry asks for it and a run is open."""
        from d2vlm_pipeline.tracking import find_run

        dataset = self._shown(dataset_name)
        if dataset is None or isinstance(data, LeaveAsIs) or (run := find_run()) is None:
            return
        _log(dataset.metadata["mlflow"], dataset_name, run, dataset, data)

    def _shown(self, name: str) -> PersistedDataset | None:
        """The entry, if its metadata asks for it to be shown."""
        dataset = self._catalog.get(name) if self._catalog is not None else None
        return dataset if isinstance(dataset, PersistedDataset) and "mlflow" in dataset.metadata else None


def _phase(curves: str) -> str:
    """What the metrics of a curve are named after."""
    return curves.removesuffix("_curves")


def _log(kind: str, name: str, run: OpenRun, dataset: PersistedDataset, data: Any) -> None:
    from d2vlm_pipeline.tracking import log_curves, log_files, log_scores, log_settings, log_studies

    if kind == "curves":
        log_curves(run.tracking, run.run_id, data["points"], _phase(name))
        if "deepspeed" in data:
            log_settings(run.tracking, run.run_id, data["deepspeed"], f"deepspeed/{_phase(name)}.json")
    elif kind == "scores":
        log_scores(run.tracking, run.run_id, data)
    elif kind == "studies":
        log_studies(run.tracking, run.run_id, data)
    elif kind == "pictures":
        log_files(run.tracking, run.run_id, sorted(dataset.path.glob("*.png")), dataset.path.name)
    else:
        log_files(run.tracking, run.run_id, [dataset.path], "report")
