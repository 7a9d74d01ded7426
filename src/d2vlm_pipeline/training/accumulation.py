"""Gradients of a step that is cut into several passes, equal to those of the step as a whole.

A loss is a sum of terms, each a mean over something else: tokens, evidence rows, responses, pairs. The mean
of the passes' means is not the mean over the step, since passes hold different numbers of these. Numbers can
be counted before anything is computed; so every pass's terms are weighted by its share of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
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


def descend(
    step: Callable[[_Batch], StepResult],
    batches: Sequence[_Batch],
    count: Count[_Batch] | None,
    check: Callable[[Tensor], None],
) -> StepResult:
    """Add the gradients of a step's batches to the parameters' and return what is to be logged.

    ``check`` is shown every loss before its gradients are computed.
    """
    if count is None or len(batches) == 1:
        (batch,) = batches
        result = step(batch)
        check(result.loss)
        result.loss.backward()
        return result
    shares = shares_of([count(batch) for batch in batches])
    results = [_pass(step, batch, share, check) for batch, share in zip(batches, shares, strict=True)]
    return _merged(results, shares)


def shares_of(counts: Sequence[Mapping[str, int]]) -> list[dict[str, float]]:
    """Each batch's share of every count; 0 where no batch has any."""
    totals = {name: sum(of_batch[name] for of_batch in counts) for name in counts[0]}
    return [{name: of_batch[name] / max(1, total) for name, total in totals.items()} for of_batch in counts]


def _pass(
    step: Callable[[_Batch], StepResult],
    batch: _Batch,
    share: Mapping[str, float],
    check: Callable[[Tensor], None],
) -> StepResult:
    """One pass; what it returns holds no graph, which the next one needs the memory of."""
    result = step(batch)
    loss = torch.stack([share[name] * term for name, term in result.terms.items()]).sum()
    check(loss)
    loss.backward()
    figures = {name: value.detach() for name, value in result.figures.items()}
    spreads = {name: values.detach() for name, values in result.spreads.items()}
    return StepResult(loss.detach(), figures, spreads)


def _merged(results: Sequence[StepResult], shares: Sequence[Mapping[str, float]]) -> StepResult:
    """The step as a whole."""
    figures = {
        name: torch.stack(
            [share[name] * result.figures[name] for result, share in zip(results, shares, strict=True)]
        ).sum()
        for name in results[0].figures
    }
    spreads = {
        name: torch.cat([result.spreads[name] for result in results if name in result.spreads])
        for name in sorted({name for result in results for name in result.spreads})
    }
    return StepResult(torch.stack([result.loss for result in results]).sum(), figures, spreads)
