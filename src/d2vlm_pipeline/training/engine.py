"""What a training loop asks of whoever holds the weights: one process, or one of several.

The loop knows phases, curves and checkpoints; an engine knows how gradients become an optimiser step. A step
of the loop is cut into the same passes whatever the engine; every worker takes its share of them, and what
they add up to is the gradient of the whole step (`accumulation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from d2vlm_pipeline.training.accumulation import StepResult

_Batch = TypeVar("_Batch", contravariant=True)
_Part = TypeVar("_Part")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workers:
    """Which worker this is, of how many, and where it computes."""

    rank: int = 0
    number: int = 1
    device: torch.device = _CPU


class Engine(Protocol[_Batch]):
    """One worker's hold on model, optimiser and schedule.

    Every method but the properties is called by all workers at the same points, in the same order: any of
    them may communicate.
    """

    @property
    def rank(self) -> int:
        """Number of this worker; 0 logs, saves and prints."""
        ...

    @property
    def workers(self) -> int:
        """How many there are."""
        ...

    def forward(self, batch: _Batch, is_last: bool) -> StepResult:
        """One pass: what the phase's step function computes of a batch.

        Every worker runs as many passes in a step; of the last one the engine must know before it starts,
        since behind its backward pass the gradients of all workers are together.
        """
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the pass; `loss` is its share of the step's loss.

        Summed over all passes of all workers, losses are the loss of the step: nothing is averaged.
        """
        ...

    def gradient_norm(self) -> Tensor:
        """Clip the step's gradients; their norm before it, [] float32, the same on every worker."""
        ...

    def update(self) -> float:
        """Take the optimiser's step and the schedule's, forget the gradients; the rate of the next step."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """Sum over workers, elementwise, the same on every worker; the values may lie on the CPU."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """What every worker gives, in the order of their numbers, on every worker."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights, optimiser and schedule into a folder that all workers write to, each its own files.

        Random states and the data's position are the loop's to save.
        """
        ...

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote, with as many workers.

        Raises:
            UserError: it was written by another number of workers, or of another model.
        """
        ...

    def finish(self) -> None:
        """Leave the trained weights, whole, in the plain model of worker 0."""
        ...


def idle_passes(parts: Sequence[Any], rank: int, workers: int) -> int:
    """Passes that a worker runs behind its share, of any part and with weight 0, since others still run one.

    Weights may be gathered for every pass, and gradients added up behind the last: workers that ran fewer
    would leave the others waiting.
    """
    return -(-len(parts) // workers) - len(share_of(parts, rank, workers))


def share_of(parts: Sequence[_Part], rank: int, workers: int) -> Sequence[_Part]:
    """The passes of a step that fall to a worker: neighbours, so that what is padded alike stays together."""
    size = -(-len(parts) // workers)
    return parts[rank * size : (rank + 1) * size]
