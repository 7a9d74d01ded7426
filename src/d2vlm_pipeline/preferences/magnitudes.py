"""How much an operator changes: typed, drawn per pair, recorded with the pair."""

from __future__ import annotations

from random import Random
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel


class IoUBand(StrictModel):
    """Temporal IoU with the true interval that a wrong one should have, both ends included."""

    low: float = Field(ge=0, lt=1)
    high: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        return self

    def holds(self, iou: float) -> bool:
        """Whether an IoU lies in the band."""
        return self.low <= iou <= self.high


class Count(StrictModel):
    """How many: drawn evenly from low to high; as many as there are where high is not given."""

    low: PositiveInt = 1
    high: PositiveInt | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high is not None and self.high < self.low:
            raise ValueError(f"low must not exceed high, got {self.low} and {self.high}")
        return self

    def draw(self, rng: Random, most: int) -> int | None:
        """A number of at most `most`; None where even the lowest is more."""
        if self.low > most:
            return None
        if self.low == self.high:
            return self.low  # nothing to draw: chance stays as it was
        return rng.randint(self.low, most if self.high is None else min(self.high, most))


class Moved(StrictModel):
    """Wrong intervals: how many of an answer, and how far from the truth, in a band drawn for each pair."""

    iou: tuple[IoUBand, ...] = Field(default=(IoUBand(low=0.0, high=0.3),), min_length=1)
    events: Count = Count()

    def band(self, rng: Random) -> IoUBand:
        """The band of one pair."""
        return self.iou[0] if len(self.iou) == 1 else rng.choice(self.iou)


class Repeated(StrictModel):
    """Captions that one caption is copied over; times that a lone one says itself again."""

    events: Count = Count()
    times: Count = Count(low=1, high=2)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.times.high is None:
            raise ValueError("times: high must be given: nothing else limits how often one thing is said")
        return self


_ONE = Count(low=1, high=1)
_TWO = Count(low=2, high=2)


class Magnitudes(StrictModel):
    """By operator.

    Attributes:
        shift: intervals of the same length at another place.
        resize: longer or shorter intervals that contain the true one or lie in it.
        wrong_evidence: intervals of something else.
        add: events that are invented.
        delete: events that are dropped; one always stays.
        merge: neighbours that become one event.
        split: pieces that an event falls into.
        reorder: events that change places.
        distort: captions that are exchanged, where an answer has several.
        wrong_text: captions that are exchanged for those of other events of the clip.
        repeat: how often one caption is said.
    """

    shift: Moved = Moved()
    resize: Moved = Moved(iou=(IoUBand(low=0.3, high=0.5), IoUBand(low=0.5, high=0.7)))
    wrong_evidence: Moved = Moved()
    add: Count = _ONE
    delete: Count = Count()
    merge: Count = _TWO
    split: Count = _TWO
    reorder: Count = Count(low=2)
    distort: Count = _ONE
    wrong_text: Count = _ONE
    repeat: Repeated = Repeated()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("merge", "split", "reorder"):
            if getattr(self, name).low < 2:
                raise ValueError(f"{name}: low must be at least 2")
        return self
