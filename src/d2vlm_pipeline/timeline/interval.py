"""Stretches of time on a clip's own clock, in seconds from its first presented frame."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from d2vlm_pipeline.artifacts import StrictModel


class Interval(StrictModel):
    """Half-open stretch [start_s, end_s) with 0 <= start_s < end_s, both finite."""

    start_s: float = Field(ge=0)
    end_s: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.start_s < self.end_s:
            raise ValueError(f"must start before it ends, got [{self.start_s}, {self.end_s})")
        return self

    @property
    def duration_s(self) -> float:
        """Length in seconds, positive."""
        return self.end_s - self.start_s

    def intersects(self, other: "Interval") -> bool:
        """Whether some instant lies in both; intervals that merely touch do not intersect."""
        return self.start_s < other.end_s and other.start_s < self.end_s

    def overlap_s(self, other: "Interval") -> float:
        """Length of the common stretch in seconds, 0 where there is none."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def iou(self, other: "Interval") -> float:
        """Temporal intersection over union (sum of lengths less overlap), in [0, 1]."""
        overlap_s = self.overlap_s(other)
        # Sum first: symmetric to the last bit, exactly 1.0 for equal intervals, never above.
        return overlap_s / (self.duration_s + other.duration_s - overlap_s)


def _as_interval(pair: tuple[float, float]) -> tuple[float, float]:
    Interval(start_s=pair[0], end_s=pair[1])
    return pair


Span = Annotated[tuple[float, float], AfterValidator(_as_interval)]
"""An interval as records spell it: the pair [start_s, end_s]."""
