"""Typed configuration of what of a phase is partitioned among its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel

Offload = Literal["none", "optimiser", "weights"]
ZeroStage = Literal[0, 1, 2, 3]


class ShardingConfig(StrictModel):
    """What is partitioned among workers (ZeRO, arXiv 1910.02054, §5) and what lies in CPU memory instead.

    Attributes:
        zero_stage: 0 partitions nothing, 1 the optimiser's states, 2 gradients as well, 3 the weights, too.
        offload: To CPU memory: nothing, the optimiser's states (stages 1 to 3; ZeRO-Offload, arXiv
            2101.06840), or also the weights (stage 3).
        bucket_parameters: Gradients reduced, and weights gathered, at a time. Smaller buckets take less
            memory and more messages.
        live_parameters: Stage 3: weights that may lie gathered on a GPU at a time.
        persistent_parameters: Stage 3: tensors of at most as many numbers stay whole everywhere.
        offload_adam: Who updates states in CPU memory: DeepSpeed's operation, compiled on first use, or
            PyTorch, which is slower and needs no compiler.
    """

    zero_stage: ZeroStage = 0
    offload: Offload = "none"
    bucket_parameters: PositiveInt = 50_000_000
    live_parameters: PositiveInt = 200_000_000
    persistent_parameters: int = Field(default=100_000, ge=0)
    overlap_communication: bool = True
    offload_adam: Literal["deepspeed", "torch"] = "deepspeed"

    @model_validator(mode="before")
    @classmethod
    def _refuse_auto(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key, value in given.items():
                if value == "auto":
                    raise ValueError(f"{key}: auto leaves DeepSpeed to find out what runs; give it a value")
        return given

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        needed = {"none": 0, "optimiser": 1, "weights": 3}[self.offload]
        if self.zero_stage < needed:
            raise ValueError(f"offload: {self.offload} needs zero_stage {needed} or more")
        return self


@dataclass(frozen=True)
class Spread:
    """How a phase lies on its workers: so many, alike, with this partitioned among them."""

    workers: int
    sharding: ShardingConfig

    @property
    def name(self) -> str:
        """What a table calls it."""
        if self.workers == 1 and self.sharding.zero_stage == 0:
            return "one GPU"
        offloaded = {"none": "", "optimiser": ", states on CPU", "weights": ", all on CPU"}
        stage = f"ZeRO-{self.sharding.zero_stage}" if self.sharding.zero_stage else "DDP"
        return f"{stage}{offloaded[self.sharding.offload]}"

    @property
    def who(self) -> str:
        """The workers, as a message counts them."""
        return "1 worker" if self.workers == 1 else f"{self.workers} workers"

    @property
    def needs_group(self) -> bool:
        """Whether workers have to find one another, which a single plain process need not."""
        return self.workers > 1 or self.sharding.zero_stage > 0
