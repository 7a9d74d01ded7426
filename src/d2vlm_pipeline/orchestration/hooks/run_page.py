"""The description of a run in MLflow, written when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs, PersistedDataset
from d2vlm_pipeline.orchestration.hooks.reports import ReportsBack
from d2vlm_pipeline.orchestration.stages import STAGES, in_order
from d2vlm_pipeline.orchestration.staleness.selection import SKIPPED

if TYPE_CHECKING:
    from d2vlm_pipeline.tracking.run_page import RunPage


_SHOWN = ("scores", "decision")


class RunPageHooks(ReportsBack):
    """Says on the run's page what ran, how well, and what became of it."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._made: dict[str, Any] = {}

    def report(self) -> dict[str, Any]:
        """What the node that ran here has made."""
        return self._made

    def take_in(self, report: dict[str, Any]) -> None:
        """What a node that ran elsewhere has made."""
        self._made.update(report)

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Remember which entries the page shows."""
        self._catalog, self._made = catalog, {}

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Keep what the page shows; of what a node left as it was it says nothing."""
        dataset = self._catalog.get(dataset_name)
        if isinstance(dataset, PersistedDataset) and not isinstance(data, LeaveAsIs):
            kind = dataset.metadata.get("mlflow")
            if kind in _SHOWN:
                self._made[kind] = data

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Write the page, before kedro-mlflow closes the run."""
        from d2vlm_pipeline.tracking import find_run
        from d2vlm_pipeline.tracking.run_page import log_run_page

        if (run := find_run()) is not None:
            log_run_page(run.tracking, run.run_id, _page(run_params, pipeline, self._made))


def _page(run_params: dict[str, Any], pipeline: Pipeline, made: dict[str, Any]) -> RunPage:
    from d2vlm_pipeline.evaluation.headline import headline
    from d2vlm_pipeline.tracking.run_page import RunPage

    verdict, gates = _decided(made["decision"]) if "decision" in made else (None, [])
    return RunPage(
        pipelines=in_order(run_params.get("pipeline_names") or STAGES),
        env=run_params.get("env") or "base",
        ran=len(pipeline.nodes),
        skipped=len(SKIPPED.get()),
        headline=headline(made["scores"]["scores"]) if "scores" in made else None,
        verdict=verdict,
        gates=gates,
    )


def _decided(record: dict[str, Any]) -> tuple[str, list[dict[str, str]]]:
    from d2vlm_pipeline.registry.decide import Decision
    from d2vlm_pipeline.registry.gate_table import gate_rows
    from d2vlm_pipeline.registry.wording import in_words

    decision = Decision.model_validate(record["decision"])
    return in_words(decision), [row._asdict() for row in gate_rows(decision)]
