"""How often a model finds the true answer likelier than a wrong one, by what the wrong one is wrong in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import NonNegativeInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import Axis, PreferencePair

Factor = Literal["interval", "event", "wording"]

FACTOR_OF: dict[Axis, Factor] = {
    "boundaries": "interval",
    "event_set": "event",
    "text": "wording",
    "option": "wording",
}
"""What people call the axis that a pair is wrong on."""


class FactorAccuracy(StrictModel):
    """Pairs of one factor, and in how many of them the chosen answer is the likelier one."""

    right: NonNegativeInt
    n: NonNegativeInt

    @model_validator(mode="after")
    def _no_more_than_all(self) -> FactorAccuracy:
        if self.right > self.n:
            raise ValueError(f"right: {self.right} of {self.n} pairs")
        return self

    @property
    def value(self) -> float | None:
        """Percent; None without pairs."""
        return 100.0 * self.right / self.n if self.n else None


def accuracy_by_factor(judged: Iterable[tuple[PreferencePair, float]]) -> dict[Factor, FactorAccuracy]:
    """Accuracy of every factor that occurs; a pair that is wrong in two ways counts for both.

    Args:
        judged: pairs, each with log π(chosen) - log π(rejected); a tie is not right.
    """
    margins: dict[Factor, list[float]] = {}
    for pair, margin in judged:
        for factor in dict.fromkeys(FACTOR_OF[factor.axis] for factor in pair.factors):
            margins.setdefault(factor, []).append(margin)
    return {
        factor: FactorAccuracy(right=sum(margin > 0 for margin in margins[factor]), n=len(margins[factor]))
        for factor in sorted(margins)
    }
