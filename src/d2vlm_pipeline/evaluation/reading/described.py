r"""Intervals with captions as the public scripts read them out of an answer.

The quirks are theirs: the text between intervals is the caption of the one before or behind it, as it
happens; where an interval's own words stand inside another interval they are cut out of it too; a time
without partner becomes 20 s on either side.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from d2vlm_pipeline.evaluation.reading.intervals import END, EVIDENCE_INTERVALS, Spans, all_read, in_order
from d2vlm_pipeline.evaluation.reading.numbers import (
    COLON,
    HYPHEN,
    LONGEST_S,
    NUMBER,
    hyphened_numbers,
    joined_numbers,
    plain_digits,
    seconds,
)
from d2vlm_pipeline.evaluation.reading.rule import Rule, first_that_applies

_RADIUS_S = 20
_SHORTEST_CAPTION = 6  # characters; shorter scraps between intervals are none
_SHORTEST_PIECE = 8
# Interval by interval, as the scripts cut, costs the square of the length: fine for what a model says.
_CUT_LITERALLY = 32_768

_START = re.compile(rf"start(?:ing)? time: ({NUMBER})")
_END = re.compile(rf"end(?:ing)? time: ({NUMBER})")
_BOTH = re.compile(rf"start time {NUMBER}, end time {NUMBER}")
_DESCRIPTION = re.compile(r"description: (.*)")
_BULLET = re.compile(r"\*\s*+(.*)")
_DOTS = re.compile(r"\.{2,}")
_LONE_NUMBER = re.compile(r"\d+\.*\d*(?!\.)")


@dataclass(frozen=True)
class Described:
    """Intervals with their captions, as many of one as of the other, and intervals of the evidence half.

    `stopped`: what stands there makes the scripts stop; otherwise an empty one sends them looking for
    `first_timed_piece`.
    """

    spans: Spans = ()
    captions: tuple[str, ...] = ()
    evidence: Spans = ()
    stopped: bool = False


_NOTHING = Described()
_STOPPED = Described(stopped=True)


def _between_intervals(text: str) -> Described | None:
    plain = plain_digits(text)
    pairs = hyphened_numbers(plain)
    if not pairs:
        return None
    times = [(seconds(pair.left), seconds(pair.right)) for pair in pairs]
    spans = all_read(times)
    if spans is None:
        return _STOPPED
    places = [(pair.start, pair.end) for pair in pairs]
    pieces = _cut(text, places).replace("seconds", "").split("\n")
    return _matched(spans, pieces)


def _cut(text: str, places: list[tuple[int, int]]) -> str:
    """The text with a line end for each interval; in long texts only where the interval was found."""
    if len(text) <= _CUT_LITERALLY:
        rest = text
        for start, end in places:
            rest = rest.replace(text[start:end], "\n")
        return rest
    bounds = [0, *(bound for place in places for bound in place), len(text)]
    return "\n".join(text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True))


def _labelled(text: str) -> Described | None:
    plain = plain_digits(text)
    starts, ends = _START.findall(plain), _END.findall(plain)
    if not starts or not ends:
        return None
    times = [(seconds(start), seconds(end)) for start, end in zip(starts, ends, strict=False)]
    spans = all_read(times)
    if spans is None:
        return _STOPPED
    return _matched(spans, _DESCRIPTION.findall(text) or _BULLET.findall(text))


def _start_and_end(text: str) -> Described | None:
    return _STOPPED if _BOTH.search(plain_digits(text)) else None


def _matched(spans: Spans, pieces: list[str]) -> Described:
    captions = [piece.strip().strip(", ").rstrip() for piece in pieces if len(piece) >= _SHORTEST_CAPTION]
    count = min(len(spans), len(captions))
    return Described(spans[:count], tuple(captions[:count]))


DESCRIBED: tuple[Rule[Described], ...] = (
    Rule(
        "text between intervals",
        r"(\d+\.*\d*)\s*-\s*(\d+\.*\d*)",
        "intervals; captions from the pieces between them, 'seconds' removed, of more than 5 characters",
        _between_intervals,
    ),
    Rule(
        "labelled times",
        r"start(ing)? time: (\d+\.*\d*) … end(ing)? time: (\d+\.*\d*)",
        "intervals; captions behind 'description: ', or behind '*' where there is none",
        _labelled,
    ),
    Rule(
        "start time, end time",
        r"start time \d+\.*\d*, end time \d+\.*\d*",
        "nothing: the scripts stop here, and the answer counts as not parsed",
        _start_and_end,
    ),
)
"""Rules on the answer in lower case; where none gives a caption, `first_timed_piece` is tried."""


def original_described(text: str) -> Described:
    """Dense captions as compute_metrics_original_etchat.py reads them."""
    return _ordered(first_that_applies(DESCRIBED, text.lower()) or _NOTHING, text)


def d2vlm_described(text: str) -> Described:
    """Dense captions between the first `</evi>` and the second, evidence before; nothing without `</evi>`."""
    evidence, *rest = text.split(END)
    if not rest:
        return _NOTHING
    found = _ordered(first_that_applies(DESCRIBED, _without_dots(rest[0])) or _NOTHING, text)
    spans = first_that_applies(EVIDENCE_INTERVALS, plain_digits(_without_dots(evidence))) or ()
    return Described(found.spans, found.captions, spans if found.spans else ())


def first_timed_piece(text: str) -> Described:
    """The first line, or sentence where there is one line, with a time in it: that interval, that caption."""
    if "\n" in text:
        pieces = [piece for piece in text.split("\n") if len(piece) >= _SHORTEST_PIECE]
    else:
        pieces = [piece + "." for piece in text.split(".") if len(piece) >= _SHORTEST_PIECE]
    for piece in pieces:
        parts = [part.strip(",") for part in piece.split("seconds")]
        span = _only_interval(plain_digits(parts[0]))
        if span is not None:
            return Described((span,), (parts[-1].strip(),))
    return _NOTHING


def _only_interval(text: str) -> tuple[float, float] | None:
    """One interval of a piece: two numbers with a hyphen, a clock time or two, one number, two numbers."""
    readers: tuple[Callable[[str], str | None], ...] = (_hyphenated, _clocked, _numbered)
    try:
        written = next((found for reader in readers if (found := reader(text)) is not None), "")
        start, _, end = written.partition("-")
        times = float(start.strip()), float(end.partition("-")[0].strip())
    except ValueError:  # what stands there is no number, as in `12.5:30`
        return None
    return min(round(times[0], 2), LONGEST_S), min(round(times[1], 2), LONGEST_S)


def _hyphenated(text: str) -> str | None:
    found = next(joined_numbers(text, HYPHEN), None)
    return None if found is None else text[found.start : found.end]


def _clocked(text: str) -> str | None:
    colons = text.count(":")
    if colons not in (1, 2):
        return None
    clocks = [_clock_s(pair.left, pair.right) for pair in joined_numbers(text, COLON, spaced=False)]
    if len(clocks) != colons:
        raise ValueError(f"{colons} colons for {len(clocks)} clock times")
    return _around(clocks[0]) if colons == 1 else f"{clocks[0]} - {clocks[1]}"


def _numbered(text: str) -> str | None:
    numbers = _LONE_NUMBER.findall(text)
    if len(numbers) == 1:
        return _around(float(numbers[0]))
    return f"{numbers[0]} - {numbers[1]}" if len(numbers) == 2 else None


def _clock_s(minutes: str, seconds_: str) -> int:
    return int(minutes) * 60 + int(seconds_)


def _around(time_s: float) -> str:
    """The interval of 20 s on either side, or of 40 s behind a time near the start, written out."""
    if time_s > _RADIUS_S:
        return f"{time_s - _RADIUS_S} - {time_s + _RADIUS_S}"
    return f"{time_s} - {time_s + 2 * _RADIUS_S}"


def _without_dots(text: str) -> str:
    return _DOTS.sub(" ", text.lower())


def _ordered(found: Described, text: str) -> Described:
    if not found.spans and not found.stopped:
        found = first_timed_piece(text)
    return Described(in_order(found.spans), found.captions)
