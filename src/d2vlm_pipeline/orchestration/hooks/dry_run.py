"""A promotion that only shows how its gates come out leaves no run in MLflow."""

from __future__ import annotations

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from d2vlm_pipeline.orchestration.datasets.base import FOLLOWS_CHAMPION

_POLICY = "params:promotion"
DECISION = "promotion_decision"


class DryRunHooks:
    """Switches tracking off where all that a run does is a rehearsal of the promotion.

    A rehearsal at the end of a longer run is in the MLflow run of the rest.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._tracking: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """For workers: they open no runs."""
        return {"_tracking": None}

    @hook_impl(trylast=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the settings of kedro-mlflow, which it puts there."""
        settings: Any = context  # Kedro's own type does not know of it
        self._tracking = settings.mlflow.tracking

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Name the pipelines of this run as such that are not tracked, before kedro-mlflow looks."""
        only_promotes = all(FOLLOWS_CHAMPION in node.tags for node in pipeline.nodes)
        if self._tracking is None or not (only_promotes and is_dry_run(pipeline, catalog)):
            return
        from kedro_mlflow.framework.hooks.mlflow_hook import mlflow_hook

        # An earlier session of this process leaves its run there, and before every node it would be resumed.
        mlflow_hook.run_id = None
        named = run_params.get("pipeline_name") or run_params.get("pipeline_names") or ["__default__"]
        self._tracking.disable_tracking.pipelines = [named] if isinstance(named, str) else list(named)


def is_dry_run(pipeline: Pipeline, catalog: CatalogProtocol) -> bool:
    """Whether the promotion of this run, if it has one, changes nothing."""
    return _POLICY in pipeline.inputs() and bool(catalog.load(_POLICY).dry_run)
