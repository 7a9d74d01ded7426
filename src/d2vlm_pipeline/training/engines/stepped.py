"""A model with the step that is computed of it, as one module: what DDP and DeepSpeed wrap.

Steps call the model in ways of their own and return more than a loss. Wrapped together, every use of a weight
lies inside one forward pass of one module, and every backward pass comes in by one tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.training.accumulation import StepResult

_Batch = TypeVar("_Batch")


class SteppedModel(nn.Module, Generic[_Batch]):
    """Batch → loss and its terms in one row, [1 + terms]: what a backward pass may start from.

    ZeRO-3 gathers weights as the backward pass enters a module: by several tensors it would enter as often as
    these have gradients, in one worker more often than in another, and messages would no longer meet.
    """

    def __init__(self, model: nn.Module, step: Callable[[_Batch], StepResult]) -> None:
        super().__init__()
        self.model = model
        self._step = step
        self._result: StepResult | None = None

    def forward(self, batch: _Batch) -> Tensor:
        """Compute the step and keep what no backward pass starts from."""
        self._result = self._step(batch)
        return torch.stack([self._result.loss, *self._result.terms.values()])

    def take(self, row: Tensor) -> StepResult:
        """The step's result, with what came out of the wrapped forward pass; it is kept no longer."""
        result, self._result = self._result, None
        if result is None:
            raise RuntimeError("no pass has been computed")
        loss, *terms = row.unbind()
        return replace(result, loss=loss, terms=dict(zip(result.terms, terms, strict=True)))
