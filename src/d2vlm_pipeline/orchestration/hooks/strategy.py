"""Said before the first node runs: a phase is to be spread in a way that training does not do."""

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from d2vlm_pipeline.orchestration.stages import in_order
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.workers import UNSHARED, TrainWorkers, check_launch

_PARAMS = "params:"
_WORKERS = "params:train"


class StrategyHooks:
    """Refuses a run whose phases its workers cannot share, or cannot be trained where they are asked to."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Check the phases of this run.

        Raises:
            UserError: clips are left over, or partitioned states are to be trained in the run's own process.
        """
        inputs = pipeline.inputs()
        if _WORKERS not in inputs:
            return  # nothing is trained
        train: TrainWorkers = catalog.load(_WORKERS)
        names = in_order(name.removeprefix(_PARAMS) for name in inputs if name.startswith(_PARAMS))
        for name in names:
            for key, phase in phases_in(name, catalog.load(_PARAMS + name)):
                check_launch(key, phase, train.alone(phase.sharding) if key == UNSHARED else train)


def phases_in(key: str, value: Any) -> list[tuple[str, TrainConfig]]:
    """The configuration of a phase, or those within another one, by their full keys."""
    if isinstance(value, TrainConfig):
        return [(key, value)]
    if not isinstance(value, BaseModel):
        return []
    return [found for name, part in value for found in phases_in(f"{key}.{name}", part)]
