"""Typed configuration of who trains: how many processes, what each of them gets, and who starts them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel


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
