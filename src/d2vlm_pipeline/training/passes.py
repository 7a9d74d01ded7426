"""A step of the loop as one worker does it: its share of the passes, each weighted by global counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from d2vlm_pipeline.training.accumulation import Count, StepResult, shares_of
from d2vlm_pipeline.training.engine import Engine, idle_passes, share_of

_Batch = TypeVar("_Batch")

Share = Mapping[str, float] | None
"""By name of a term or a figure, a pass's share of the step; None where the pass is the step."""

_NOTHING: Share = {}


def descend(
    engine: Engine[_Batch],
    parts: Sequence[_Batch],
    count: Count[_Batch] | None,
    check: Callable[[Tensor, Sequence[_Batch]], None],
) -> StepResult:
    """Add the gradients of a step's parts to the parameters' and return this worker's part of what to log.

    A worker with fewer parts than others repeats one, with no weight: all take as many passes. Only its
    own parts are looked at. Summed over workers, the loss and the figures are those of the step.

    Args:
        engine: Holds the weights.
        parts: Of the whole step, all workers' together.
        count: What the terms are means over; needed where there are several parts.
        check: Is shown every loss before its gradients are computed, and this worker's parts.
    """
    own = list(share_of(parts, engine.rank, engine.workers))
    idle = idle_passes(parts, engine.rank, engine.workers)
    given = [*own, *[own[0] if own else parts[0]] * idle]
    shares = [*_shares(engine, own, given, len(parts), count), *[_NOTHING] * idle]
    results = []
    for number, (batch, share) in enumerate(zip(given, shares, strict=True), start=1):
        result = engine.forward(batch, is_last=number == len(given))
        loss = _loss(result, share)
        check(loss, own)
        engine.backward(loss)
        results.append(_detached(result, loss))
    return _merged(results, shares)


def _shares(
    engine: Engine[_Batch],
    own: Sequence[_Batch],
    given: Sequence[_Batch],
    parts: int,
    count: Count[_Batch] | None,
) -> list[Share]:
    """The shares of this worker's parts in what all parts of the step hold."""
    if count is None or parts == 1:
        if parts > 1:
            raise ValueError(f"a step of {parts} parts, but nothing says what its terms are means over")
        return [None] * len(own)
    counts = [count(batch) for batch in own]
    names = list(count(given[0]))
    held = [sum(of_part[name] for of_part in counts) for name in names]
    totals = engine.total(torch.tensor(held, dtype=torch.float64)).tolist()
    return list(shares_of(counts, dict(zip(names, totals, strict=True))))


def _loss(result: StepResult, share: Share) -> Tensor:
    if share is None:
        return result.loss
    if not share:
        return 0.0 * result.loss
    return torch.stack([share[name] * term for name, term in result.terms.items()]).sum()


def _detached(result: StepResult, loss: Tensor) -> StepResult:
    """What is to be logged, without the graph: the next pass needs the memory."""
    figures = {name: value.detach() for name, value in result.figures.items()}
    spreads = {name: values.detach() for name, values in result.spreads.items()}
    return StepResult(loss.detach(), figures, spreads)


def _merged(results: Sequence[StepResult], shares: Sequence[Share]) -> StepResult:
    """This worker's part of the step."""
    weighted = list(zip(results, shares, strict=True))
    figures = {
        name: torch.stack([_weight(share, name) * result.figures[name] for result, share in weighted]).sum()
        for name in results[0].figures
    }
    told = [result.spreads for result, share in weighted if share != _NOTHING]
    spreads = {
        name: torch.cat([of_pass[name] for of_pass in told if name in of_pass])
        for name in sorted({name for of_pass in told for name in of_pass})
    }
    return StepResult(torch.stack([result.loss for result in results]).sum(), figures, spreads)


def _weight(share: Share, name: str) -> float:
    if share is None:
        return 1.0
    return share[name] if share else 0.0
