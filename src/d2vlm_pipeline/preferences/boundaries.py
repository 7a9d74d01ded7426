"""`shift`: the right events at the wrong times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from statistics import fmean

from d2vlm_pipeline.preferences.scene import NO_EVENTS, NO_ROOM, Edit, NotApplicable, Scene, interval_at
from d2vlm_pipeline.timeline import GroundedResponse, Interval

_DRAWS = 32


def shift(scene: Scene, rng: Random) -> Edit | NotApplicable:
    """Move one to K intervals, lengths kept, to where no true interval is (IoU at most the limit).

    A list in order of time stays so where it can: disorder alone would give the wrong side away.
    """
    true = scene.intervals
    if not true:
        return NO_EVENTS
    wrong = list(true)
    chosen = rng.sample(range(len(true)), rng.randint(1, len(true)))
    moved = sorted(k for k in chosen if _move(wrong, k, scene, rng, keep_order=_is_chronological(true)))
    moved = moved or [k for k in chosen[:1] if _move(wrong, k, scene, rng, keep_order=False)]
    if not moved:
        return NO_ROOM
    magnitude: dict[str, int | float | str] = {
        "events": len(moved),
        "mean_shift_s": round(fmean(abs(wrong[k].start_s - true[k].start_s) for k in moved), 3),
        "max_iou": round(max(wrong[k].iou(true[k]) for k in moved), 4),
    }
    rejected = GroundedResponse(evidence=tuple(wrong), segments=scene.truth.segments)
    return Edit(rejected, magnitude, tuple(moved))


def _move(intervals: list[Interval], k: int, scene: Scene, rng: Random, keep_order: bool) -> bool:
    """Give interval k another place; whether one was found in a limited number of draws."""
    length_s = scene.intervals[k].duration_s
    room_s = scene.duration_s - length_s
    if room_s < scene.config.min_shift_s:
        return False
    for _ in range(_DRAWS):
        candidate = interval_at(rng.uniform(0, room_s), length_s, scene.duration_s)
        moved = [*intervals[:k], candidate, *intervals[k + 1 :]]
        if _is_wrong(candidate, k, scene) and (not keep_order or _is_chronological(moved)):
            intervals[k] = candidate
            return True
    return False


def _is_wrong(candidate: Interval, k: int, scene: Scene) -> bool:
    """Whether the place is far enough from the event's own and meets no other true interval either."""
    distance_s = abs(candidate.start_s - scene.intervals[k].start_s)
    overlap = max(candidate.iou(true) for true in scene.intervals)
    return distance_s >= scene.config.min_shift_s and overlap <= scene.config.shift_iou_max


def _is_chronological(intervals: Sequence[Interval]) -> bool:
    return all(earlier.start_s <= later.start_s for earlier, later in pairwise(intervals))
