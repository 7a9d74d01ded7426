"""What a run shows in MLflow: curves step by step, scores, pictures and reports."""

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs, PersistedDataset


class MlflowReportHooks:
    """Logs datasets as they are saved, where `metadata.mlflow` says curves, scores, studies or file."""

    def __init__(self) -> None:
        """No catalog yet."""
        self._catalog: CatalogProtocol | None = None

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Remember where entries are looked up."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log the dataset if its entry asks for it and a run is open."""
        dataset = self._catalog.get(dataset_name) if self._catalog is not None else None
        if not isinstance(dataset, PersistedDataset) or "mlflow" not in dataset.metadata:
            return
        if isinstance(data, LeaveAsIs):
            return
        import mlflow

        if mlflow.active_run() is None:  # tracking is switched off for this pipeline
            return
        _log(dataset.metadata["mlflow"], dataset_name, dataset, data)


def _log(kind: str, name: str, dataset: PersistedDataset, data: Any) -> None:
    from d2vlm_pipeline.tracking import current_run, log_curves, log_files, log_scores, log_studies

    run = current_run()
    if kind == "curves":
        log_curves(run.tracking, run.run_id, data["points"], name.removesuffix("_curves"))
    elif kind == "scores":
        log_scores(run.tracking, run.run_id, data)
    elif kind == "studies":
        log_studies(run.tracking, run.run_id, data)
    else:
        log_files(run.tracking, run.run_id, [dataset.path], "report")
