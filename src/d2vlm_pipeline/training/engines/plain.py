"""One process that holds everything: model, optimiser and schedule as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.engines.states import load_states, save_states
from d2vlm_pipeline.training.optimiser import build_optimiser, build_schedule

_Batch = TypeVar("_Batch")


class PlainEngine(Generic[_Batch]):
    """The only worker.

    Args:
        model: what trains in place.
        step: what is computed of a batch.
        config: how long the phase is, and how it descends.
    """

    def __init__(self, model: nn.Module, step: Callable[[_Batch], StepResult], config: LoopConfig) -> None:
        self._model, self._step, self._clip_norm = model, step, config.optim.clip_norm
        self._optimiser = build_optimiser(model, config.optim)
        self._schedule = build_schedule(self._optimiser, config.steps, config.optim)
        self._optimiser.zero_grad(set_to_none=True)

    @property
    def rank(self) -> int:
        return 0

    @property
    def workers(self) -> int:
        return 1

    def forward(self, batch: _Batch, is_last: bool) -> StepResult:
        return self._step(batch)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def gradient_norm(self) -> Tensor:
        return nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)

    def update(self) -> float:
        self._optimiser.step()
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(self._schedule.get_last_lr()[0])

    def total(self, values: Tensor) -> Tensor:
        return values

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def save(self, folder: Path) -> None:
        save_states(folder, self._model, self._optimiser, self._schedule)

    def load(self, folder: Path) -> None:
        load_states(folder, self._model, self._optimiser, self._schedule)

    def finish(self) -> None:
        """The weights are where they belong."""
