"""`add`, `delete`, `merge`, `split`, `reorder`: the wrong events. Captions follow their events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from d2vlm_pipeline.preferences.answers import match_case
from d2vlm_pipeline.preferences.listed import EventAnswer, ListedEvent, hull, read_events
from d2vlm_pipeline.preferences.scene import (
    ALL_ALIKE,
    ANSWER_FORM,
    FEWER_THAN_ASKED,
    NO_DONOR,
    NO_EVENTS,
    NO_ROOM,
    TOO_FEW_EVENTS,
    TOO_SHORT,
    Edit,
    Magnitude,
    NotApplicable,
    Scene,
    interval_at,
)
from d2vlm_pipeline.timeline import Interval

# An added event is about as long as one of the true ones, so that its length does not give it away.
_LENGTH_RANGE = (0.7, 1.3)


def add(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Insert intervals where no listed event is; where there are captions, borrow them from elsewhere."""
    answer = _read(scene)
    if isinstance(answer, NotApplicable):
        return answer
    count = scene.config.magnitudes.add.draw(rng, len(answer.events) + 1)
    if count is None:
        return FEWER_THAN_ASKED
    events, added = list(answer.events), list[ListedEvent]()
    for _ in range(count):
        new = _invented(scene, answer, [event.interval for event in events], rng)
        if isinstance(new, NotApplicable):
            return new
        position = sum(event.interval.start_s <= new.interval.start_s for event in events)
        events.insert(position, new)
        added.append(new)
    return Edit(answer.write(events), _added_record(events, added))


def delete(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Drop events, but not all."""
    answer = _read_several(scene)
    if isinstance(answer, NotApplicable):
        return answer
    free = _untouched(scene, answer)
    count = scene.config.magnitudes.delete.draw(rng, min(len(free), len(answer.events) - 1))
    if count is None:
        return FEWER_THAN_ASKED
    dropped = sorted(rng.sample(free, count))
    kept = [event for k, event in enumerate(answer.events) if k not in dropped]
    return Edit(answer.write(kept), {"events": len(dropped)}, tuple(dropped))


def merge(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Replace neighbours of the list by their hull, captions joined."""
    answer = _read_several(scene)
    if isinstance(answer, NotApplicable):
        return answer
    count = scene.config.magnitudes.merge.draw(rng, len(answer.events))
    if count is None:
        return FEWER_THAN_ASKED
    free = set(_untouched(scene, answer))
    runs = [range(k, k + count) for k in range(len(answer.events) - count + 1)]
    runs = [run for run in runs if free.issuperset(run) and _grows([answer.events[k] for k in run])]
    if not runs:
        return NotApplicable("one event lies inside the other")
    run = rng.choice(runs)
    merged = [answer.events[k] for k in run]
    reach = hull([event.interval for event in merged])
    captions = [merged[0].caption, *(match_case(event.caption, "a") for event in merged[1:])]
    joined = ListedEvent(reach, " and ".join(filter(None, captions)))
    events = [*answer.events[: run[0]], joined, *answer.events[run[-1] + 1 :]]
    magnitude: Magnitude = {"events": count, "hull_s": round(reach.duration_s, 3)}
    return Edit(answer.write(events), magnitude, tuple(run))


def split(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Take one event for several that follow each other, all with its caption."""
    answer = _read(scene)
    if isinstance(answer, NotApplicable):
        return answer
    least_s = scene.config.min_shift_s
    counts = scene.config.magnitudes.split
    room = {k: int(answer.events[k].interval.duration_s / least_s) for k in _untouched(scene, answer)}
    divisible = [k for k, most in room.items() if most >= counts.low]
    if not divisible:
        return TOO_SHORT
    k = rng.choice(divisible)
    # As many as asked for, but no more than stay long enough; without a limit, three.
    pieces = counts.draw(rng, room[k] if counts.high is not None else min(room[k], max(3, counts.low)))
    if pieces is None:
        return TOO_SHORT
    event = answer.events[k]
    parts = [ListedEvent(part, event.caption) for part in _cut(event.interval, pieces, least_s, rng)]
    events = [*answer.events[:k], *parts, *answer.events[k + 1 :]]
    shortest_s = min(part.interval.duration_s for part in parts)
    return Edit(answer.write(events), {"pieces": pieces, "shortest_s": round(shortest_s, 3)}, (k,))


def reorder(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Let events, with their captions, change places in the list."""
    answer = _read_several(scene)
    if isinstance(answer, NotApplicable):
        return answer
    free = _untouched(scene, answer)
    count = scene.config.magnitudes.reorder.draw(rng, len(free))
    if count is None:
        return FEWER_THAN_ASKED
    places = sorted(rng.sample(free, count))
    turn = rng.randint(1, count - 1)
    order = list(range(len(answer.events)))
    for place, source in zip(places, [*places[turn:], *places[:turn]], strict=True):
        order[place] = source
    events = [answer.events[k] for k in order]
    if any(events[k].interval == answer.events[k].interval for k in places):
        return ALL_ALIKE
    magnitude: Magnitude = {"events": count, "order": " ".join(map(str, order))}
    return Edit(answer.write(events), magnitude, tuple(places))


def _read(scene: Scene) -> EventAnswer | NotApplicable:
    if not scene.intervals:
        return NO_EVENTS
    return read_events(scene.said, scene.sample.task) or ANSWER_FORM


def _read_several(scene: Scene) -> EventAnswer | NotApplicable:
    answer = _read(scene)
    if isinstance(answer, EventAnswer) and len(answer.events) < 2:
        return TOO_FEW_EVENTS
    return answer


def _untouched(scene: Scene, answer: EventAnswer) -> list[int]:
    """Events that no other factor of the pair is about: dropping one would drop that factor, too."""
    return [k for k in range(len(answer.events)) if k not in scene.touched]


def _invented(
    scene: Scene, answer: EventAnswer, listed: Sequence[Interval], rng: Random
) -> ListedEvent | NotApplicable:
    interval = _free_interval(scene, listed, rng)
    if interval is None:
        return NO_ROOM
    caption = _borrowed_caption(answer, scene, rng)
    return NO_DONOR if caption is None else ListedEvent(interval, caption)


def _added_record(events: list[ListedEvent], added: list[ListedEvent]) -> Magnitude:
    """Where the invented events stand in the list, and their length; one has a place, several have places."""
    positions = sorted(k for k, event in enumerate(events) if any(event is new for new in added))
    added_s = round(sum(event.interval.duration_s for event in added), 3)
    if len(added) == 1:
        return {"position": positions[0], "added_s": added_s}
    return {"events": len(added), "positions": " ".join(map(str, positions)), "added_s": added_s}


def _free_interval(scene: Scene, listed: Sequence[Interval], rng: Random) -> Interval | None:
    """A stretch that meets no event, listed or true, about as long as one; None where gaps are too short."""
    gaps = _gaps([*listed, *scene.intervals], scene.duration_s)
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
    if not answer.has_captions:
        return ""
    own = answer.events[0].caption
    borrowed = scene.donors.captions.any_but(scene.donors.true_of(scene.sample.video), rng)
    return None if borrowed is None else match_case(borrowed, own)


def _grows(events: Sequence[ListedEvent]) -> bool:
    """Whether the hull is more than any of the events: merging a nested one would only delete it."""
    intervals = [event.interval for event in events]
    return hull(intervals) not in intervals


def _cut(interval: Interval, pieces: int, least_s: float, rng: Random) -> list[Interval]:
    """Adjoining pieces of an interval, each at least so long, cut at whole milliseconds."""
    spare_s = interval.duration_s - pieces * least_s
    cuts_s = sorted(rng.uniform(0, spare_s) for _ in range(pieces - 1))
    inner_s = [interval.start_s + cut_s + k * least_s for k, cut_s in enumerate(cuts_s, start=1)]
    edges_s = [interval.start_s, *(round(edge_s, 3) for edge_s in inner_s), interval.end_s]
    return [Interval(start_s=a, end_s=b) for a, b in pairwise(edges_s)]
