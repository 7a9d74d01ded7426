"""A model with the step that is computed of it, as one module: what DDP and DeepSpeed wrap.

Steps call the model in ways of their own and return more than a loss. Wrapped together, every use of a weight
lies inside one forward pass of one module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from torch import Tensor, nn

from d2vlm_pipeline.training.accumulation import StepResult

_Batch = TypeVar("_Batch")


class SteppedModel(nn.Module, Generic[_Batch]):
    """Batch → loss and its terms, as plain tensors: those that a backward pass may start from."""

    def __init__(self, model: nn.Module, step: Callable[[_Batch], StepResult]) -> None:
        super().__init__()
        self.model = model
        self._step = step
        self._result: StepResult | None = None

    def forward(self, batch: _Batch) -> tuple[Tensor, ...]:
        """Compute the step and keep what is not a tensor to start from."""
        self._result = self._step(batch)
        return (self._result.loss, *self._result.terms.values())

    def take(self, outputs: tuple[Tensor, ...]) -> StepResult:
        """The step's result, with what came out of the wrapped forward pass; it is kept no longer."""
        result, self._result = self._result, None
        if result is None:
            raise RuntimeError("no pass has been computed")
        loss, *terms = outputs
        return replace(result, loss=loss, terms=dict(zip(result.terms, terms, strict=True)))
