"""Typed configuration of who trains: how many processes, what each of them gets, and who starts them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.sharding import ShardingConfig, Spread


class TrainWorkers(StrictModel):
    """Who trains a phase; where they run is `ray.address`.

    Attributes:
        workers: Processes that share the clips of every step.
        gpus_per_worker: Of each; without one it computes on processor cores.
        cpus_per_worker: Processor cores that Ray sets aside for a worker; its threads are `compute.threads`.
        launcher: `process` trains in the run's own process, `ray` in workers of Ray Train; `auto` takes Ray
            for several workers and for partitioned states, and the own process for everything else.
        max_failures: How often a phase starts again from its checkpoint after a worker was lost.
        accelerator: Kind of GPU to wait for, by Ray's name (`A100`, `H100` …); None takes any.
        placement: Whether workers crowd on few nodes or spread over many.
        storage: Folder for what Ray keeps of a phase; of several nodes, one that all of them see.
    """

    workers: PositiveInt = 1
    gpus_per_worker: Literal[0, 1] = 0
    cpus_per_worker: PositiveInt = 1
    launcher: Literal["auto", "process", "ray"] = "auto"
    max_failures: int = Field(default=0, ge=0)
    accelerator: str | None = None
    placement: Literal["PACK", "SPREAD"] = "PACK"
    storage: str = Field(min_length=1)

    @model_validator(mode="after")
    def _check_launcher(self) -> Self:
        if self.launcher == "process" and self.workers > 1:
            raise ValueError(f"launcher process: {self.workers} workers are started by Ray; set it to auto")
        return self

    def uses_ray(self, sharding: ShardingConfig) -> bool:
        """Whether a phase trains in workers of Ray Train."""
        if self.launcher == "auto":
            return Spread(self.workers, sharding).needs_group
        return self.launcher == "ray"

    def alone(self, sharding: ShardingConfig) -> TrainWorkers:
        """One worker for a phase that cannot be shared, where several would run: there may be a GPU there."""
        launcher = "ray" if self.uses_ray(sharding) else self.launcher
        return self.model_copy(update={"workers": 1, "launcher": launcher})


UNSHARED = "align.training"
"""The phase whose steps cannot be shared out: captions of a step are told apart from one another."""


def check_launch(phase: str, config: TrainConfig, train: TrainWorkers) -> None:
    """Refuse what cannot be shared out, and what the run's own process does not do.

    Raises:
        UserError: clips are left over, or partitioned states are to be trained in the run's own process.
    """
    config.check_portions(phase, train.workers)
    stage = config.sharding.zero_stage
    if train.launcher == "process" and stage:
        raise UserError(
            f"train.launcher process: {phase} partitions its states (sharding.zero_stage {stage}), which "
            f"takes a worker of Ray Train; set it to auto, or {phase}.sharding.zero_stage to 0"
        )
