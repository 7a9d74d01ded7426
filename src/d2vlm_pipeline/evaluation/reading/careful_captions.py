"""Intervals with captions as a careful reader takes them from an answer."""

import re
from collections.abc import Sequence

from d2vlm_pipeline.evaluation.reading.careful import Place, halves, placed_intervals
from d2vlm_pipeline.evaluation.reading.described import Described

_WORD = re.compile(r"[^\W\d_]{2}")
_TAIL = 40  # characters at the end of a caption in which the next entry may begin
# What leads to an interval and is no caption: a label, a bullet, a number in a list.
_LEAD = re.compile(
    r"(?:(?:start(?:ing|s)?|begin(?:ning|s)?)?[\s_-]{0,3}(?:times?|timestamps?|stamps?)?|from|at|in|and|then"
    r"|step\s{0,3}\d{1,3}|event\s{0,3}\d{1,3}|\d{1,3}\s{0,3}[.)])[\s:\"'({\[*•,-]{0,8}\Z",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[\s.,:;!?)\]}*•\"'–—-]*(?:\d{1,3}[.)]\s+)?(?:(?:description|caption|event|step|text)\s*:)?",
    re.IGNORECASE,
)
_EDGES = " \t\r\n,:;\"'*•–—-([{)]}"


def careful_described(text: str, duration_s: float | None = None) -> Described:
    """Each interval of the answer with its caption, and the intervals of the evidence half.

    The caption stands behind its interval, up to the next; where the answer has words before its first
    interval and none behind its last, captions stand before. An interval without words has the caption ''.
    """
    evidence, answer = halves(text)
    places = list(placed_intervals(answer, duration_s))
    if not places:
        return Described(evidence=())
    lead = _caption(answer[: places[0].start])
    before = bool(_WORD.search(lead)) and not _WORD.search(_caption(answer[places[-1].end :]))
    return Described(
        tuple(place.span for place in places),
        tuple(_caption(answer[start:end]) for start, end in _stretches(places, len(answer), before)),
        tuple(place.span for place in placed_intervals(evidence, duration_s)),
    )


def _stretches(places: Sequence[Place], length: int, before: bool) -> list[tuple[int, int]]:
    """Where the caption of each interval may stand."""
    if before:
        ends = [0, *(place.end for place in places)]
        return [(end, place.start) for end, place in zip(ends, places, strict=False)]
    starts = [*(place.start for place in places[1:]), length]
    return [(place.end, start) for place, start in zip(places, starts, strict=True)]


def _caption(text: str) -> str:
    """The words of a stretch, without what leads to them or to the next interval."""
    text = text[_LABEL.match(text).end() :].strip(_EDGES)  # type: ignore[union-attr]  # it matches anything
    for _ in range(3):  # `\n2. From`: a number and a word
        tail = max(0, len(text) - _TAIL)
        lead = _LEAD.search(text, tail)
        if lead is None or lead.start() == len(text):
            break
        if lead.start() and text[lead.start() - 1].isalnum():
            break
        text = text[: lead.start()].rstrip(_EDGES)
    return " ".join(text.split())
