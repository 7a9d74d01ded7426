"""Said before the first node runs: a phase is to be spread in a way that training does not know."""

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from d2vlm_pipeline.orchestration.stages import in_order
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.sharding import check_single_process
from d2vlm_pipeline.training.workers import TrainWorkers

_PARAMS = "params:"
_WORKERS = "params:train"


class StrategyHooks:
    """Refuses a run whose training parameters ask for what a single process cannot do."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Check the phases of this run.

        Raises:
            UserError: they ask for several workers, or for partitioned states.
        """
        inputs = pipeline.inputs()
        if _WORKERS not in inputs:
            return  # nothing is trained
        train: TrainWorkers = catalog.load(_WORKERS)
        names = in_order(name.removeprefix(_PARAMS) for name in inputs if name.startswith(_PARAMS))
        phases = [found for name in names for found in _phases(name, catalog.load(_PARAMS + name))]
        shardings = {key: phase.sharding for key, phase in phases}
        check_single_process(shardings, train.workers, run_params.get("env"))


def _phases(key: str, value: Any) -> list[tuple[str, TrainConfig]]:
    """The configuration of a phase, or those within another one, by their full keys."""
    if isinstance(value, TrainConfig):
        return [(key, value)]
    if not isinstance(value, BaseModel):
        return []
    return [found for name, part in value for found in _phases(f"{key}.{name}", part)]
