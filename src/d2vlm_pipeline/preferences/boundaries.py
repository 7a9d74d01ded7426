"""`shift`, `resize`, `wrong_evidence`: the right events at the wrong times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from random import Random
from statistics import fmean

from d2vlm_pipeline.preferences.magnitudes import IoUBand, Moved
from d2vlm_pipeline.preferences.scene import (
    FEWER_THAN_ASKED,
    NO_EVENTS,
    NO_ROOM,
    Edit,
    NotApplicable,
    Scene,
    interval_at,
    is_chronological,
)
from d2vlm_pipeline.timeline import GroundedResponse, Interval

_DRAWS = 32
# Evidence of something else is about as long as an event.
_LENGTH_RANGE = (0.5, 2.0)

Proposals = Callable[[Interval, IoUBand, Scene, Random], Iterator[Interval]]
"""Wrong places for a true interval, likely to lie in the band; as many as one cares to look at."""


def shift(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Move intervals, lengths kept, to where no true interval is.

    A list in order of time stays so where it can: disorder alone would give the wrong side away.
    """
    moved = _move(scene, rng, scene.config.magnitudes.shift, _elsewhere)
    return moved if isinstance(moved, NotApplicable) else _recorded(scene, *moved, "mean_shift_s")


def resize(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Make intervals longer or shorter; the true one and the wrong one contain each other."""
    moved = _move(scene, rng, scene.config.magnitudes.resize, _resized)
    return moved if isinstance(moved, NotApplicable) else _recorded(scene, *moved, "mean_resize_s")


def wrong_evidence(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Right text with the evidence of something else: of another known event of the clip if there is one."""
    moved = _move(scene, rng, scene.config.magnitudes.wrong_evidence, _of_something_else)
    return moved if isinstance(moved, NotApplicable) else _recorded(scene, *moved, "mean_shift_s")


def _move(
    scene: Scene, rng: Random, magnitude: Moved, propose: Proposals
) -> tuple[list[Interval], list[int]] | NotApplicable:
    """Intervals of which some are wrong, and which ones."""
    true = scene.intervals
    if not true:
        return NO_EVENTS
    band = magnitude.band(rng)
    count = magnitude.events.draw(rng, len(true))
    if count is None:
        return FEWER_THAN_ASKED
    wrong = list(true)
    chosen = rng.sample(range(len(true)), count)
    in_order = is_chronological(true)
    moved = sorted(k for k in chosen if _displace(wrong, k, scene, rng, band, propose, in_order))
    moved = moved or [k for k in chosen[:1] if _displace(wrong, k, scene, rng, band, propose, False)]
    return (wrong, moved) if len(moved) >= magnitude.events.low else NO_ROOM


def _displace(
    intervals: list[Interval],
    k: int,
    scene: Scene,
    rng: Random,
    band: IoUBand,
    propose: Proposals,
    keep_order: bool,
) -> bool:
    """Give interval k another place; whether one was found in a limited number of draws."""
    for candidate in islice(propose(scene.intervals[k], band, scene, rng), _DRAWS):
        moved = [*intervals[:k], candidate, *intervals[k + 1 :]]
        if _is_wrong(candidate, k, scene, band) and (not keep_order or is_chronological(moved)):
            intervals[k] = candidate
            return True
    return False


def _is_wrong(candidate: Interval, k: int, scene: Scene, band: IoUBand) -> bool:
    """Whether the place is as far from the event's own as is asked, and meets no other true interval more."""
    true = scene.intervals
    edges_s = (abs(candidate.start_s - true[k].start_s), abs(candidate.end_s - true[k].end_s))
    others = (candidate.iou(interval) for j, interval in enumerate(true) if j != k)
    return (
        max(edges_s) >= scene.config.min_shift_s
        and band.holds(candidate.iou(true[k]))
        and max(others, default=0.0) <= band.high
    )


def _elsewhere(true: Interval, band: IoUBand, scene: Scene, rng: Random) -> Iterator[Interval]:
    """Places of the same length anywhere in the clip; near the true one where the band wants overlap."""
    if band.low > 0:
        yield from _overlapping(true, band, scene, rng, (1.0, 1.0))
        return
    room_s = scene.duration_s - true.duration_s
    while room_s >= scene.config.min_shift_s:
        yield interval_at(rng.uniform(0, room_s), true.duration_s, scene.duration_s)


def _resized(true: Interval, band: IoUBand, scene: Scene, rng: Random) -> Iterator[Interval]:
    """Nested intervals: their IoU is the ratio of lengths."""
    length_s, least_s = true.duration_s, scene.config.min_shift_s
    shorter = (max(band.low, least_s / length_s), min(band.high, 1 - least_s / length_s))
    longer = (max(band.low, length_s / scene.duration_s), min(band.high, length_s / (length_s + least_s)))
    ways = [(grows, *ratios) for grows, ratios in ((False, shorter), (True, longer)) if ratios[0] < ratios[1]]
    while ways:
        grows, low, high = rng.choice(ways)
        iou = rng.uniform(low, high)
        wrong_s = length_s / iou if grows else length_s * iou
        first_s = max(0.0, true.end_s - wrong_s) if grows else true.start_s
        last_s = min(true.start_s, scene.duration_s - wrong_s) if grows else true.end_s - wrong_s
        yield interval_at(rng.uniform(first_s, last_s), wrong_s, scene.duration_s)


def _of_something_else(true: Interval, band: IoUBand, scene: Scene, rng: Random) -> Iterator[Interval]:
    """Times of the clip's other known events in random order, then places of any plausible length."""
    listed = {(interval.start_s, interval.end_s) for interval in scene.intervals}
    times_s = scene.donors.times_of(scene.sample.video)
    known_s = [span for span in times_s if span not in listed and span[1] <= scene.duration_s]
    known = (Interval(start_s=a, end_s=b) for a, b in rng.sample(known_s, len(known_s)))
    invented = _anywhere if band.low == 0 else _of_any_length
    yield from chain(known, invented(true, band, scene, rng))


def _anywhere(true: Interval, band: IoUBand, scene: Scene, rng: Random) -> Iterator[Interval]:
    while True:
        length_s = min(true.duration_s * rng.uniform(*_LENGTH_RANGE), scene.duration_s)
        yield interval_at(rng.uniform(0, scene.duration_s - length_s), length_s, scene.duration_s)


def _of_any_length(true: Interval, band: IoUBand, scene: Scene, rng: Random) -> Iterator[Interval]:
    return _overlapping(true, band, scene, rng, _LENGTH_RANGE)


def _overlapping(
    true: Interval, band: IoUBand, scene: Scene, rng: Random, lengths: tuple[float, float]
) -> Iterator[Interval]:
    """Intervals over one end of the true one: an overlap o of lengths a, b has IoU o / (a + b − o)."""
    for _ in range(_DRAWS):
        length_s = true.duration_s * (lengths[0] if lengths[0] == lengths[1] else rng.uniform(*lengths))
        iou = rng.uniform(band.low, band.high)
        overlap_s = iou * (true.duration_s + length_s) / (1 + iou)
        starts_s = [true.end_s - overlap_s, true.start_s - length_s + overlap_s]
        inside_s = [start_s for start_s in starts_s if 0 <= start_s <= scene.duration_s - length_s]
        if inside_s and overlap_s <= min(true.duration_s, length_s):
            yield interval_at(rng.choice(inside_s), length_s, scene.duration_s)


def _recorded(scene: Scene, wrong: list[Interval], moved: list[int], change: str) -> Edit:
    """The edit with how much was changed: on the mean by start or by length, and the largest overlap left."""
    true = scene.intervals
    if change == "mean_resize_s":
        changes_s = [abs(wrong[k].duration_s - true[k].duration_s) for k in moved]
    else:
        changes_s = [abs(wrong[k].start_s - true[k].start_s) for k in moved]
    magnitude: dict[str, int | float | str] = {
        "events": len(moved),
        change: round(fmean(changes_s), 3),
        "max_iou": round(max(wrong[k].iou(true[k]) for k in moved), 4),
    }
    rejected = GroundedResponse(evidence=tuple(wrong), segments=scene.said.segments)
    return Edit(rejected, magnitude, tuple(moved))
