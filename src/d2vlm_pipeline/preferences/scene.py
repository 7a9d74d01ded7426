"""What an operator is given, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from d2vlm_pipeline.preferences.config import PreferenceConfig
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.timeline import Axis, GroundedResponse, Interval, Sample

Magnitude = dict[str, int | float | str]


@dataclass(frozen=True)
class Scene:
    """One sample with all that its operators may look at.

    Attributes:
        sample: the truth.
        duration_s: length of its clip in seconds.
        donors: words of the training split.
        config: limits of the operators.
        edited: what other operators have made of the answer, which is edited further; the truth where None.
        touched: events that they have touched.
    """

    sample: Sample
    duration_s: float
    donors: DonorPool
    config: PreferenceConfig
    edited: GroundedResponse | None = None
    touched: frozenset[int] = frozenset()

    @cached_property
    def truth(self) -> GroundedResponse:
        """The right response."""
        return self.sample.response()

    @property
    def said(self) -> GroundedResponse:
        """The response to edit."""
        return self.truth if self.edited is None else self.edited

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The K true intervals, in the order of the answer."""
        return self.truth.evidence

    def after(self, edit: Edit) -> Scene:
        """The same scene for the next operator."""
        return replace(self, edited=edit.rejected, touched=self.touched | set(edit.event_ids))


@dataclass(frozen=True)
class Edit:
    """A wrong response and what was done to get it.

    Attributes:
        rejected: the wrong response.
        magnitude: how much was changed, by name.
        event_ids: the sample's events that were touched; empty where the edit adds one or there are none.
        axis: what was corrupted, where the operator has several axes.
    """

    rejected: GroundedResponse
    magnitude: Magnitude
    event_ids: tuple[int, ...] = ()
    axis: Axis | None = None


@dataclass(frozen=True)
class NotApplicable:
    """Why an operator left a sample alone; one of a few fixed words, which are counted."""

    reason: str


NO_EVENTS = NotApplicable("no events")
TOO_FEW_EVENTS = NotApplicable("fewer than two events")
FEWER_THAN_ASKED = NotApplicable("fewer events than the magnitude asks for")
NO_ROOM = NotApplicable("no room in the clip")
NO_DONOR = NotApplicable("no other words to borrow")
NO_OPTIONS = NotApplicable("no options")
TOO_SHORT = NotApplicable("events too short to take apart")
ALL_ALIKE = NotApplicable("events are all alike")
ANSWER_FORM = NotApplicable("answer form not recognised")
NO_PARTNER = NotApplicable("no second factor fits")


def interval_at(start_s: float, length_s: float, limit_s: float) -> Interval:
    """[start, start + length) in whole milliseconds, at least one, ending by `limit_s`: fit to be read."""
    start_ms, length_ms = math.floor(start_s * 1000), max(1, round(length_s * 1000))
    end_ms = min(start_ms + length_ms, math.floor(limit_s * 1000))
    return Interval(start_s=min(start_ms, end_ms - 1) / 1000, end_s=end_ms / 1000)


def is_chronological(intervals: Sequence[Interval]) -> bool:
    """Whether no interval starts before the one that precedes it in the list."""
    return all(earlier.start_s <= later.start_s for earlier, later in pairwise(intervals))
