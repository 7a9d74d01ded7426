"""Gradients of a step that is cut into several passes, equal to those of the step as a whole.

A loss is a sum of terms, each a mean over something else: tokens, evidence rows, responses, pairs. The mean
of the passes' means is not the mean over the step, since passes hold different numbers of these. Numbers can
be counted before anything is computed; so every pass's terms are weighted by its share of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor


@dataclass(frozen=True)
class StepResult:
    """Loss to descend and what to log: figures by their mean, spreads (values, [P] each) by their quantiles.

    A spread may hold any number of values, none as well; figures are the same ones at every step. ``terms``
    are what the loss is the sum of.
    """

    loss: Tensor
    figures: dict[str, Tensor]
    spreads: dict[str, Tensor] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)


_Batch = TypeVar("_Batch")

Count = Callable[[_Batch], Mapping[str, int]]
"""By name of a term or a figure, how many things it is a mean over in a batch."""


def shares_of(
    counts: Sequence[Mapping[str, int]], totals: Mapping[str, float]
) -> list[dict[str, float]]:
    """Each batch's share of the totals; 0 where there is nothing of a kind."""
    return [{name: of_batch[name] / max(1, total) for name, total in totals.items()} for of_batch in counts]
