"""`add`, `delete`, `merge`: the wrong events. Captions follow their events."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from d2vlm_pipeline.preferences.answers import CaptionForm, ListForm, match_case, read_captions, read_list
from d2vlm_pipeline.preferences.config import TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.scene import (
    ANSWER_FORM,
    NO_DONOR,
    NO_EVENTS,
    NO_ROOM,
    TOO_FEW_EVENTS,
    Edit,
    NotApplicable,
    Scene,
    interval_at,
)
from d2vlm_pipeline.timeline import GroundedResponse, Interval

# An added event is about as long as one of the true ones, so that its length does not give it away.
_LENGTH_RANGE = (0.7, 1.3)


class ListedEvent(NamedTuple):
    """An interval of an answer and its caption, which is empty where the answer only lists intervals."""

    interval: Interval
    caption: str


class EventAnswer(NamedTuple):
    """An answer as its events and the form that writes them."""

    form: ListForm | CaptionForm
    events: tuple[ListedEvent, ...]

    def write(self, events: Sequence[ListedEvent]) -> GroundedResponse:
        """The same answer for other events."""
        if isinstance(self.form, CaptionForm):
            segments = self.form.build([event.caption for event in events])
        else:
            segments = self.form.build(len(events))
        return GroundedResponse(evidence=tuple(event.interval for event in events), segments=segments)


def add(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Insert an interval where no listed event is; where there are captions, borrow one from elsewhere."""
    answer = _read(scene)
    if isinstance(answer, NotApplicable):
        return answer
    interval = _free_interval(scene, rng)
    if interval is None:
        return NO_ROOM
    caption = _borrowed_caption(answer, scene, rng)
    if caption is None:
        return NO_DONOR
    position = sum(event.interval.start_s <= interval.start_s for event in answer.events)
    events = list(answer.events)
    events.insert(position, ListedEvent(interval, caption))
    return Edit(answer.write(events), {"position": position, "added_s": round(interval.duration_s, 3)})


def delete(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Drop one to K - 1 events."""
    answer = _read_several(scene)
    if isinstance(answer, NotApplicable):
        return answer
    count = len(answer.events)
    dropped = sorted(rng.sample(range(count), rng.randint(1, count - 1)))
    kept = [event for k, event in enumerate(answer.events) if k not in dropped]
    return Edit(answer.write(kept), {"events": len(dropped)}, tuple(dropped))


def merge(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Replace two neighbours of the list by their hull, captions joined."""
    answer = _read_several(scene)
    if isinstance(answer, NotApplicable):
        return answer
    mergeable = [k for k in range(len(answer.events) - 1) if _grows(answer.events[k], answer.events[k + 1])]
    if not mergeable:
        return NotApplicable("one event lies inside the other")
    first = rng.choice(mergeable)
    left, right = answer.events[first : first + 2]
    hull = _hull(left.interval, right.interval)
    joined = ListedEvent(hull, " and ".join(filter(None, (left.caption, match_case(right.caption, "a")))))
    events = [*answer.events[:first], joined, *answer.events[first + 2 :]]
    magnitude: dict[str, int | float | str] = {"events": 2, "hull_s": round(hull.duration_s, 3)}
    return Edit(answer.write(events), magnitude, (first, first + 1))


def _read(scene: Scene) -> EventAnswer | NotApplicable:
    if not scene.intervals:
        return NO_EVENTS
    segments = scene.truth.segments
    if scene.sample.task in TIMED_CAPTION_TASKS:
        captioned = read_captions(segments)
        if captioned is None:
            return ANSWER_FORM
        pairs = zip(scene.intervals, captioned.captions, strict=True)
        return EventAnswer(captioned.form, tuple(ListedEvent(*pair) for pair in pairs))
    form = read_list(segments)
    if form is None:
        return ANSWER_FORM
    return EventAnswer(form, tuple(ListedEvent(interval, "") for interval in scene.intervals))


def _read_several(scene: Scene) -> EventAnswer | NotApplicable:
    answer = _read(scene)
    if isinstance(answer, EventAnswer) and len(answer.events) < 2:
        return TOO_FEW_EVENTS
    return answer


def _free_interval(scene: Scene, rng: Random) -> Interval | None:
    """A stretch that meets no listed event, about as long as one; None where every gap is too short."""
    gaps = _gaps(scene.intervals, scene.duration_s)
    if not gaps:
        return None
    shortest_s = scene.config.min_shift_s
    wanted_s = max(shortest_s, rng.choice(scene.intervals).duration_s * rng.uniform(*_LENGTH_RANGE))
    length_s = min(wanted_s, max(end_s - start_s for start_s, end_s in gaps))
    if length_s < max(shortest_s, wanted_s / 2):
        return None
    fitting = [(start_s, end_s) for start_s, end_s in gaps if end_s - start_s >= length_s]
    start_s, end_s = rng.choice(fitting)
    return interval_at(rng.uniform(start_s, end_s - length_s), length_s, end_s)


def _gaps(intervals: Sequence[Interval], duration_s: float) -> list[tuple[float, float]]:
    """Stretches (start_s, end_s) of the clip that no interval covers, each at least a millisecond inside."""
    gaps: list[tuple[float, float]] = []
    covered_s = 0.0
    for interval in sorted(intervals, key=lambda interval: interval.start_s):
        gaps.append((covered_s, interval.start_s))
        covered_s = max(covered_s, interval.end_s)
    gaps.append((covered_s, duration_s))
    # Rounding to milliseconds may move an end by one.
    return [(start_s + 0.001, end_s - 0.001) for start_s, end_s in gaps if end_s - start_s > 0.002]


def _borrowed_caption(answer: EventAnswer, scene: Scene, rng: Random) -> str | None:
    """A caption that is true nowhere in the clip, in the answer's case; empty where the answer has none."""
    if isinstance(answer.form, ListForm):
        return ""
    own = answer.events[0].caption
    borrowed = scene.donors.captions.any_but(scene.donors.true_of(scene.sample.video), rng)
    return None if borrowed is None else match_case(borrowed, own)


def _grows(left: ListedEvent, right: ListedEvent) -> bool:
    """Whether the hull is more than either event: merging a nested one would only delete it."""
    return _hull(left.interval, right.interval) not in (left.interval, right.interval)


def _hull(left: Interval, right: Interval) -> Interval:
    return Interval(start_s=min(left.start_s, right.start_s), end_s=max(left.end_s, right.end_s))
