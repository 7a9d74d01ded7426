"""What an operator is given, and what it gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from d2vlm_pipeline.preferences.config import PreferenceConfig
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.timeline import GroundedResponse, Interval, Sample


@dataclass(frozen=True)
class Scene:
    """One sample with all that its operators may look at.

    Attributes:
        sample: the truth.
        duration_s: length of its clip in seconds.
        donors: words of the training split.
        config: limits of the operators.
    """

    sample: Sample
    duration_s: float
    donors: DonorPool
    config: PreferenceConfig

    @cached_property
    def truth(self) -> GroundedResponse:
        """The right response."""
        return self.sample.response()

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The K true intervals, in the order of the answer."""
        return self.truth.evidence


@dataclass(frozen=True)
class Edit:
    """A wrong response and what was done to get it.

    Attributes:
        rejected: the wrong response.
        magnitude: how much was changed, by name.
        event_ids: the sample's events that were touched; empty where the edit adds one or there are none.
    """

    rejected: GroundedResponse
    magnitude: dict[str, int | float | str]
    event_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class NotApplicable:
    """Why an operator left a sample alone; one of a few fixed words, which are counted."""

    reason: str


NO_EVENTS = NotApplicable("no events")
TOO_FEW_EVENTS = NotApplicable("fewer than two events")
NO_ROOM = NotApplicable("no room in the clip")
NO_DONOR = NotApplicable("no other words to borrow")
ANSWER_FORM = NotApplicable("answer form not recognised")


def interval_at(start_s: float, length_s: float, limit_s: float) -> Interval:
    """[start, start + length) in whole milliseconds, at least one, ending by `limit_s`: fit to be read."""
    start_ms, length_ms = math.floor(start_s * 1000), max(1, round(length_s * 1000))
    end_ms = min(start_ms + length_ms, math.floor(limit_s * 1000))
    return Interval(start_s=min(start_ms, end_ms - 1) / 1000, end_s=end_ms / 1000)
