"""What workers tell one another, by PyTorch's process group."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor

from d2vlm_pipeline.training.engine import Workers


class Grouped:
    """One of several workers: its part of `engine.Engine` that tells the others, and hears of them."""

    def __init__(self, workers: Workers) -> None:
        """The process group is there already, or will be before anything is told."""
        self._workers = workers

    @property
    def rank(self) -> int:
        return self._workers.rank

    @property
    def workers(self) -> int:
        return self._workers.number

    def total(self, values: Tensor) -> Tensor:
        """Sum over workers, elementwise; messages go from device to device."""
        summed = values.detach().to(self._workers.device, copy=True)
        dist.all_reduce(summed)
        return summed.to(values.device)

    def gather(self, value: Any) -> list[Any]:
        """What every worker gives, in the order of their numbers."""
        given: list[Any] = [None] * self.workers
        dist.all_gather_object(given, value)
        return given
