r"""Intervals and moments as a careful reader takes them from an answer.

Times are found first (seconds with or without unit, minutes, hours, clock times, percent of the video), then
neighbours are paired by what stands around them. Only a bounded stretch around a time is looked at, and no
pattern can be tried at two places of one run of digits or blanks: time is linear in the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from d2vlm_pipeline.evaluation.reading.intervals import END, Said
from d2vlm_pipeline.evaluation.reading.numbers import plain_digits

_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0}
_REACH = 48  # characters around a time in which a word may pair it with another

_TIME = re.compile(
    r"""(?<![\w:])(?<!\d\.)
    (?:
        (?P<clock>\d{1,3}+:\d{1,2}+(?::\d{1,2}+)?+(?:\.\d{1,6}+)?+)
      | (?P<number>\d{1,9}+(?:\.\d{1,17}+)?+)
        (?:\s{0,3}+(?P<unit>%|percent\b|(?:hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?=$|[^a-z])))?+
    )
    (?![\w%]|[.:]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_ENDS = re.compile(re.escape(END), re.IGNORECASE)
_SPOKEN_BEFORE = re.compile(r"(?:\bfrom|\bbetween)\s*+\Z", re.IGNORECASE)


class Time(NamedTuple):
    """A time as written: where in the text, seconds (a share of the video under `%`), unit or ''."""

    start: int
    end: int
    amount: float
    unit: str

    def seconds(self, duration_s: float | None) -> float | None:
        """Seconds from the start of the video; None for a share of a video of unknown length."""
        if self.unit != "%":
            return self.amount
        return None if duration_s is None else self.amount * duration_s


class Place(NamedTuple):
    """An interval and where it stands in the text, with the words that belong to it."""

    start: int
    end: int
    span: tuple[float, float]


@dataclass(frozen=True)
class PairRule:
    """What makes two neighbouring times an interval.

    Attributes:
        before: ends what stands before the first.
        between: is all that stands between them.
        after: begins what stands behind the second.
    """

    name: str
    between: re.Pattern[str]
    before: re.Pattern[str] = re.compile("")
    after: re.Pattern[str] = re.compile("")

    def pairs(self, before: str, between: str, after: str) -> bool:
        around = self.before.search(before) and self.after.match(after)
        return bool(around and self.between.fullmatch(between))


def _rule(name: str, between: str, before: str = "", after: str = "") -> PairRule:
    flags = re.IGNORECASE | re.DOTALL
    return PairRule(name, *(re.compile(pattern, flags) for pattern in (between, before, after)))


_ABOUT = r"(?:(?:about|around|approximately|roughly|at|the)\s+){0,2}"

CAREFUL_INTERVALS: tuple[PairRule, ...] = (
    _rule("dash", r"\.?\s*(?:-{1,3}>?|[‐‑‒–—―−~→])\s*" + _ABOUT),
    _rule("to", r"[\s,]*(?:and\s+)?(?:up\s+)?(?:to|until|till|through|thru)\s+" + _ABOUT),
    _rule("between and", r"\s*,?\s*and\s+" + _ABOUT, before=r"\bbetween\s+" + _ABOUT + r"\Z"),
    _rule("brackets", r"\s*[,;]\s*", before=r"[\[(]\s*\Z", after=r"\s*[\])]"),
    _rule(
        "start and end",
        r".*\b(?:end|finish|stop|conclude)(?:s|es|ing|ed)?\b.*",
        before=r"\b(?:start|begin|commence|onset)(?:s|ning|ing|ed)?\b[^\d]*\Z",
    ),
)
"""The first rule that pairs two neighbours makes an interval of them; then the next time is looked at."""


def careful_intervals(text: str, duration_s: float | None = None) -> Said:
    """Intervals of the answer half and, where `</evi>` stands, of the evidence half."""
    evidence, answer = halves(text)
    said = tuple(place.span for place in placed_intervals(answer, duration_s))
    return Said(said, tuple(place.span for place in placed_intervals(evidence, duration_s)))


def careful_moment(text: str, duration_s: float | None = None) -> float | None:
    """The moment that an answer names, seconds.

    The middle of its first interval; else its first time with a unit or on a clock; else its first number.
    """
    _, answer = halves(text)
    first = next(placed_intervals(answer, duration_s), None)
    if first is not None:
        return (first.span[0] + first.span[1]) / 2
    bare: float | None = None
    for time in times_in(answer):
        moment_s = time.seconds(duration_s)
        if moment_s is not None and time.unit:
            return moment_s
        bare = moment_s if bare is None else bare
    return bare


def halves(text: str) -> tuple[str, str]:
    """What stands before the first `</evi>` ('' without one), and the answer, further `</evi>` left out."""
    first, *rest = _ENDS.split(text)
    return (first, " ".join(rest)) if rest else ("", first)


def placed_intervals(text: str, duration_s: float | None = None) -> Iterator[Place]:
    """Intervals in the order of the text; the smaller time of each comes first."""
    times = list(times_in(text))
    index, floor = 0, 0
    while index + 1 < len(times):
        left, right = times[index : index + 2]
        if not _paired(text, floor, left, right):
            floor = left.end
            index += 1
            continue
        span = _span(left, right, duration_s)
        if span is not None:
            yield Place(_spoken_start(text, floor, left.start), right.end, span)
        floor = right.end
        index += 2


def times_in(text: str) -> Iterator[Time]:
    """Times in order; `1 h 5 min 3 s` is one."""
    previous: Time | None = None
    plain = plain_digits(text)
    for match in _TIME.finditer(plain):
        time = _time(match)
        if time is None:
            continue
        if previous is not None and _continues(plain, previous, time):
            time = Time(previous.start, time.end, previous.amount + time.amount, time.unit)
        elif previous is not None:
            yield previous
        previous = time
    if previous is not None:
        yield previous


def _time(match: re.Match[str]) -> Time | None:
    clock = match["clock"]
    if clock is not None:
        *larger, last = clock.split(":")
        if any(float(part) >= 60 for part in (*larger[1:], last)):
            return None
        amount = sum(int(part) * 60.0**power for power, part in enumerate(reversed(larger), start=1))
        return Time(match.start(), match.end(), amount + float(last), "clock")
    unit = (match["unit"] or "")[:1].lower()
    if unit in ("%", "p"):
        return Time(match.start(), match.end(), float(match["number"]) / 100, "%")
    return Time(match.start(), match.end(), float(match["number"]) * _UNIT_S.get(unit, 1.0), unit)


def _continues(text: str, previous: Time, time: Time) -> bool:
    """Whether `30 s` goes on with the `2 min` before it."""
    units = "hms"
    if previous.unit not in ("h", "m") or time.unit not in ("m", "s"):
        return False
    between = text[previous.end : min(time.start, previous.end + _REACH)]
    return units.index(previous.unit) < units.index(time.unit) and not between.strip()


def _paired(text: str, floor: int, left: Time, right: Time) -> bool:
    between = text[left.end : right.start] if right.start - left.end <= _REACH else None
    if between is None:
        return False
    before = text[max(floor, left.start - _REACH) : left.start]
    after = text[right.end : right.end + _REACH]
    return any(rule.pairs(before, between, after) for rule in CAREFUL_INTERVALS)


def _span(left: Time, right: Time, duration_s: float | None) -> tuple[float, float] | None:
    if not left.unit and right.unit in ("h", "m", "%"):  # `5 to 10 minutes`
        amount = left.amount / 100 if right.unit == "%" else left.amount * _UNIT_S[right.unit]
        left = left._replace(amount=amount, unit=right.unit)
    times = left.seconds(duration_s), right.seconds(duration_s)
    if times[0] is None or times[1] is None:
        return None
    return (times[0], times[1]) if times[0] <= times[1] else (times[1], times[0])


def _spoken_start(text: str, floor: int, start: int) -> int:
    """Where the interval begins with the word that leads to it: `from`, `between`."""
    begin = max(floor, start - _REACH)
    match = _SPOKEN_BEFORE.search(text[begin:start])
    return start if match is None else begin + match.start()
