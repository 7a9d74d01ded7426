"""Facts about planned clips and their questions, on which the certificate rests. No pixel is read here."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video.world.motion import Pose, pose_at
from d2vlm_pipeline.video.world.plan import ClipPlan, PlannedEvent
from d2vlm_pipeline.video.world.render import OBJECT_SHARE
from d2vlm_pipeline.video.world.vocabulary import Triple, near_miss
from d2vlm_pipeline.video.world.wording import QUESTIONS, TEST_ONLY

_OPAQUE = 0.95


def event_shares(plan: ClipPlan) -> list[float]:
    """Share of the clip that each event fills."""
    return [(event.end_s - event.start_s) / plan.duration_s for event in plan.events]


def sampled_frames(plan: ClipPlan, policy: SamplingPolicy) -> list[int]:
    """How many of the policy's sampling times fall into each event."""
    times_s = policy.sample_times(plan.duration_s)
    return [sum(event.start_s <= time_s < event.end_s for time_s in times_s) for event in plan.events]


def near_misses(plan: ClipPlan) -> list[int]:
    """For each event, how many of its clip share exactly two of its three attributes."""
    return [sum(near_miss(event.triple, other.triple) for other in plan.events) for event in plan.events]


def repeats_event(plan: ClipPlan) -> bool:
    """Whether some triple occurs more than once."""
    return max(Counter(event.triple for event in plan.events).values()) > 1


def overlaps_events(plan: ClipPlan) -> bool:
    """Whether two events happen at the same time."""
    return any(max(a.start_s, b.start_s) < min(a.end_s, b.end_s) for a, b in combinations(plan.events, 2))


def nests_events(plan: ClipPlan) -> bool:
    """Whether one event lies within another."""
    pairs = combinations(plan.events, 2)
    return any(_holds(a, b) or _holds(b, a) for a, b in pairs)


def _holds(outer: PlannedEvent, inner: PlannedEvent) -> bool:
    return outer.start_s <= inner.start_s and inner.end_s <= outer.end_s


class LoneObject(NamedTuple):
    """The one object on the screen: what it is, and its centre as shares of width and height."""

    triple: Triple
    x: float
    y: float

    @property
    def cell(self) -> int:
        """Which of 3×3 cells holds its centre, row by row."""
        return 3 * int(3.0 * self.y) + int(3.0 * self.x)

    @property
    def clearance(self) -> float:
        """How far its centre is from the nearest line between two cells, as a share of the frame."""
        return min(abs(place - line / 3.0) for place in (self.x, self.y) for line in (1, 2))


def lone_object(plan: ClipPlan, time_s: float) -> LoneObject | None:
    """The object of the one event on the screen; None unless it is alone, opaque and wholly inside."""
    shown = [(event.triple, pose) for event in plan.events if (pose := pose_at(event, time_s)) is not None]
    if len(shown) != 1:
        return None
    triple, pose = shown[0]
    is_clear = pose.alpha >= _OPAQUE and _is_inside(plan, pose)
    return LoneObject(triple, pose.x, pose.y) if is_clear else None


def _is_inside(plan: ClipPlan, pose: Pose) -> bool:
    half_y = 0.5 * OBJECT_SHARE * pose.scale
    half_x = half_y * plan.height / plan.width
    return half_x <= pose.x <= 1.0 - half_x and half_y <= pose.y <= 1.0 - half_y


def is_test_only(question: str) -> bool:
    """Whether a question has a wording that training never shows."""
    return any(pattern.fullmatch(question) for pattern in _test_only_patterns())


@lru_cache(maxsize=1)
def _test_only_patterns() -> tuple[re.Pattern[str], ...]:
    wordings = [wording for kind in QUESTIONS.values() for wording in kind[-TEST_ONLY:]]
    return tuple(re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(wording))) for wording in wordings)
