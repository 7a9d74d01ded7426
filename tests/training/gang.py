"""Several workers of a phase as threads of one process, each with a model of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.engines.plain import PlainEngine

_Result = TypeVar("_Result")


class Gang:
    """What workers tell each other."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._told: list[Any] = [None] * workers
        self._barrier = Barrier(workers, timeout=60.0)

    def gather(self, rank: int, value: Any) -> list[Any]:
        self._told[rank] = value
        self._barrier.wait()
        found = list(self._told)
        self._barrier.wait()
        return found

    def run(self, work: Callable[[int], _Result]) -> list[_Result]:
        """What every worker returns; the error of the first that fails."""

        def alone(rank: int) -> _Result:
            try:
                return work(rank)
            except BaseException:
                self._barrier.abort()  # nobody waits for it
                raise

        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(alone, range(self.workers)))


class GangEngine(PlainEngine[Any]):
    """One of them: gradients are summed before the step."""

    def __init__(self, gang: Gang, rank: int, model: nn.Module, step: Any, config: LoopConfig) -> None:
        super().__init__(model, step, config)
        self._gang, self._rank = gang, rank

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def workers(self) -> int:
        return self._gang.workers

    def gradient_norm(self) -> Tensor:
        for parameter in self._model.parameters():
            if parameter.requires_grad:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.total(own)
        return super().gradient_norm()

    def total(self, values: Tensor) -> Tensor:
        return torch.stack(self.gather(values.clone())).sum(0)

    def gather(self, value: Any) -> list[Any]:
        return self._gang.gather(self._rank, value)
