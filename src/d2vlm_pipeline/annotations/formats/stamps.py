"""Time stamps inside texts: `<vid>` is one stamp, `<evi>` an interval; samples know `<evi>` alone.

E.T. Chat's annotations write an interval as `<vid> - <vid>` (PolyU-ChenLab/ETBench, docs/DATASET.md), the
authors of D2VLM as `<evi>` (method.md §2.3); a single stamp, as of a highlight, stands by itself in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from d2vlm_pipeline.annotations.draft import RowError
from d2vlm_pipeline.timeline import EVI

VID = "<vid>"
_STAMP = re.compile(rf"(?<=[Bb]etween ){VID}\s+and\s+{VID}|{VID}(?:\s*(?:-|–|—|to)\s*{VID})?|{EVI}")

Pair = tuple[float, float]


def take_times(
    text: str, times_s: Sequence[float], instant_s: float, duration_s: float | None
) -> tuple[str, tuple[Pair, ...]]:
    """The text with `<evi>` for every stamp, and their intervals in order.

    Args:
        text: with `<vid>`, `<vid> - <vid>` or `<evi>`.
        times_s: two for each interval; one for a stamp by itself.
        instant_s: length of the interval that a single time becomes, centred, within the video.
        duration_s: of the video, where it is known.

    Raises:
        RowError: more or fewer times than the stamps take.
    """
    takes = [_width(match) for match in _STAMP.finditer(text)]
    if EVI in text and VID not in text and len(times_s) == len(takes):
        takes = [1] * len(takes)  # a single time for each <evi> (method.md §1.4 c)
    if sum(takes) != len(times_s):
        raise RowError("bad_count", f"{len(times_s)} times for {_spelt(text)}")
    pairs, place = [], 0
    for take in takes:
        if take == 2:
            pairs.append((times_s[place], times_s[place + 1]))
        else:
            pairs.append(instant(times_s[place], instant_s, duration_s))
        place += take
    return _STAMP.sub(EVI, text), tuple(pairs)


def instant(time_s: float, length_s: float, duration_s: float | None) -> Pair:
    """Interval of that length around one time, as far as the video goes."""
    start_s, end_s = max(0.0, time_s - length_s / 2), time_s + length_s / 2
    if duration_s is not None and start_s < duration_s:
        end_s = min(end_s, duration_s)
    return start_s, end_s


def captions_in(answer: str) -> list[str]:
    """What stands behind each `<evi>`, without the punctuation around it."""
    return [" ".join(text.split()).strip(" .,;:-–—") for text in answer.split(EVI)[1:]]


def _width(match: re.Match[str]) -> int:
    return 1 if match.group() == VID else 2


def _spelt(text: str) -> str:
    counts = [f"{text.count(token)} {token}" for token in (VID, EVI) if token in text]
    return " and ".join(counts) or f"no {VID} or {EVI} (a file of the `txt` kind?)"
