"""Recorded amounts, held against what can be measured on the two responses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from d2vlm_pipeline.preferences.config import ROUNDING_S
from d2vlm_pipeline.preferences.listed import hull
from d2vlm_pipeline.timeline import FactorRecord, Interval, PreferencePair

Places = Sequence[tuple[int, ...]]
"""For every event of the rejected side, the true events that it stands for; none for an invented one."""

BOUNDARIES = {"shift": "mean_shift_s", "wrong_evidence": "mean_shift_s", "resize": "mean_resize_s"}
"""Operators on boundaries, and the change that each records."""

# Records are rounded to milliseconds, and to a ten-thousandth of IoU.
_ROUNDED_S, _ROUNDED_IOU = 1.1e-3, 1.1e-4


def boundary_problems(record: FactorRecord, pair: PreferencePair, places: Places) -> list[str]:
    """Whether the recorded intervals moved as far as recorded, and in the operator's way."""
    true, ids, magnitude = pair.chosen.evidence, record.event_ids, record.magnitude
    change = BOUNDARIES[record.operator]
    if set(magnitude) != {"events", change, "max_iou"} or list(ids) != sorted(set(ids)):
        return [f"{record.operator} records {' '.join(sorted(magnitude)) or 'no magnitude'}"]
    moved = {k: wrong for wrong, sources in zip(pair.rejected.evidence, places, strict=True) for k in sources}
    found = [(true[k], moved[k]) for k in ids if k in moved]
    if len(found) != len(ids) or not ids:
        return [f"{record.operator} touches events that are not there"]
    seen_s = fmean(_change_s(record.operator, *each) for each in found)
    iou = max(old.iou(new) for old, new in found)
    problems = [] if magnitude["events"] == len(ids) else ["another number of events is touched"]
    if not _is_close(magnitude[change], seen_s, _ROUNDED_S):
        problems.append(f"{change} is {seen_s:.3f}, not {magnitude[change]}")
    if not _is_close(magnitude["max_iou"], iou, _ROUNDED_IOU):
        problems.append(f"max_iou is {iou:.4f}, not {magnitude['max_iou']}")
    if record.operator == "shift" and any(_resized_s(*each) > 2 * ROUNDING_S + 1e-9 for each in found):
        problems.append("a shifted interval has another length")
    if record.operator == "resize" and any(not _nested(*each) for each in found):
        problems.append("a resized interval neither contains the true one nor lies in it")
    return problems


def event_set_problems(record: FactorRecord, pair: PreferencePair, places: Places) -> list[str]:
    """Whether as many events as recorded were invented, dropped, joined or divided, of that length."""
    wrong, magnitude = pair.rejected.evidence, record.magnitude
    if record.operator == "add":
        invented = [interval for interval, sources in zip(wrong, places, strict=True) if not sources]
        is_right = _is_close(magnitude["added_s"], sum(each.duration_s for each in invented), _ROUNDED_S)
        is_right = is_right and magnitude.get("events", 1) == len(invented)
        return [] if is_right else ["add records another size"]
    if record.operator == "split":
        ids = record.event_ids
        pieces = [interval for interval, sources in zip(wrong, places, strict=True) if sources == ids]
        whole = pair.chosen.evidence[record.event_ids[0]]
        is_whole = (pieces[0].start_s, pieces[-1].end_s) == (whole.start_s, whole.end_s)
        if not is_whole or any(a.end_s != b.start_s for a, b in pairwise(pieces)):
            return ["the pieces of a split event do not make it up"]
        shortest_s = min(piece.duration_s for piece in pieces)
        is_right = _is_close(magnitude["shortest_s"], shortest_s, _ROUNDED_S)
        return [] if is_right else ["split records another length"]
    problems = [] if magnitude["events"] == len(record.event_ids) else ["another number of events is touched"]
    if record.operator == "merge":
        spanned = hull(pair.chosen.evidence[k] for k in record.event_ids)
        if not _is_close(magnitude["hull_s"], spanned.duration_s, _ROUNDED_S):
            problems.append("merge records another length")
    return problems


def _change_s(operator: str, true: Interval, wrong: Interval) -> float:
    return _resized_s(true, wrong) if operator == "resize" else abs(wrong.start_s - true.start_s)


def _resized_s(true: Interval, wrong: Interval) -> float:
    return abs(wrong.duration_s - true.duration_s)


def _nested(true: Interval, wrong: Interval) -> bool:
    inner, outer = sorted((true, wrong), key=lambda interval: interval.duration_s)
    slack_s = 2 * ROUNDING_S
    is_inside = outer.start_s - slack_s <= inner.start_s and inner.end_s <= outer.end_s + slack_s
    return is_inside and _resized_s(true, wrong) > slack_s


def _is_close(recorded: int | float | str | None, seen: float, tolerance: float) -> bool:
    return isinstance(recorded, int | float) and abs(recorded - seen) <= tolerance
