"""What a run is made from, in its MLflow run: at its start, and at its end with what it has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs
from d2vlm_pipeline.orchestration.hooks.reports import ReportsBack
from d2vlm_pipeline.orchestration.lineage.gather import Begun, begin, finish
from d2vlm_pipeline.orchestration.staleness.selection import SKIPPED

if TYPE_CHECKING:
    from d2vlm_pipeline.tracking import OpenRun

_Saved = dict[str, dict[str, bool]]


class LineageHooks(ReportsBack):
    """Logs the lineage of a run: when it starts, so that a killed run has one, and when it ends or fails.

    A run that is not tracked has none.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._context: KedroContext | None = None
        self._entries: dict[str, Any] = {}
        self._begun: Begun | None = None
        self._run: OpenRun | None = None
        self._saved: _Saved = {}

    def __getstate__(self) -> dict[str, Any]:
        """For workers: they note what nodes save, and log nothing."""
        return {"_context": None, "_entries": {}, "_begun": None, "_run": None, "_saved": {}}

    def report(self) -> _Saved:
        """What the node that ran here has saved."""
        return self._saved

    def take_in(self, report: _Saved) -> None:
        """What a node that ran elsewhere has saved."""
        self._saved.update(report)

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the configuration is to be had."""
        self._context = context

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember the catalog as it is configured."""
        self._entries = conf_catalog

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Look at code, configuration and inputs before anything changes them, and log them."""
        from d2vlm_pipeline.tracking import find_run
        from d2vlm_pipeline.tracking.lineage import log_begun

        context, self._context = self._context, None
        self._begun, self._saved, self._run = None, {}, find_run()
        if context is None or self._run is None:
            return
        self._begun = begin(context, run_params, pipeline, catalog, self._entries, SKIPPED.get())
        log_begun(
            self._run.tracking,
            self._run.run_id,
            self._begun.lineage,
            self._begun.configuration,
            self._begun.patch,
        )

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Begin a node's account, which an output that it fails to save leaves incomplete."""
        self._saved[node.name] = {}

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note an output."""
        self._saved[node.name][dataset_name] = not isinstance(data, LeaveAsIs)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Log what the run has made, before kedro-mlflow closes it."""
        self._end(is_failed=False)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Log it also of a run that has failed: what is finished stays."""
        self._end(is_failed=True)

    def _end(self, is_failed: bool) -> None:
        begun, run, self._begun, self._run = self._begun, self._run, None, None
        if begun is None or run is None:
            return
        from d2vlm_pipeline.orchestration.lineage.models import log_models
        from d2vlm_pipeline.tracking.lineage import log_lineage

        lineage = finish(begun, self._saved, is_failed)
        log_lineage(run.tracking, run.run_id, lineage)
        log_models(begun, lineage, run.tracking, run.run_id)
