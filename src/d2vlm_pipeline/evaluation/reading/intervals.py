r"""Intervals as the public scripts read them out of an answer (nusnlp/d2vlm, all_benchmark_eval/etbench).

Their last rule, hours:minutes:seconds, can never apply and is not here: whatever it finds, the rule before it
has found two numbers in already. Where a script stops with an error (`1..5 - 7`), nothing is read.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from d2vlm_pipeline.evaluation.reading.numbers import (
    HYPHEN,
    HYPHENED,
    SHORT,
    TO,
    TO_BETWEEN,
    joined_numbers,
    plain_digits,
    seconds,
)
from d2vlm_pipeline.evaluation.reading.rule import Rule, Span, first_that_applies

END = "</evi>"

Spans = tuple[Span, ...]

_SENTENCE_END = re.compile(r"[!?\n]")
_FIRST_NUMBER = re.compile(r"\b(\d+\.\d+\b|\b\d+)\b")
_SIGNED_NUMBER = re.compile(r"[-+]?\d*\.\d+|[-+]?\d+")
_KEYWORDS = ("start", "end", "happen")  # "starts", "end time" and the rest of the scripts' list hold one


def all_read(times: Sequence[tuple[float | None, float | None]]) -> Spans | None:
    """The times as intervals, None where one of them could not be read."""
    spans = tuple((start_s, end_s) for start_s, end_s in times if start_s is not None and end_s is not None)
    return spans if len(spans) == len(times) else None


def _joined_by(
    joint: re.Pattern[str], short: re.Pattern[str], trim: str = ""
) -> Callable[[str], Spans | None]:
    def read(text: str) -> Spans | None:
        if len(text) <= SHORT:
            found: list[tuple[str, str]] = short.findall(text)
        else:
            found = [(pair.left, pair.right) for pair in joined_numbers(text, joint)]
        times = [(seconds(left.rstrip(trim)), seconds(right.rstrip(trim))) for left, right in found]
        if not times:
            return None
        spans = all_read(times)
        return () if spans is None else spans

    return read


def _keyword_sentences(text: str) -> Spans | None:
    times_s: list[float] = []
    for sentence in _SENTENCE_END.split(text):
        number = _FIRST_NUMBER.search(sentence) if any(word in sentence for word in _KEYWORDS) else None
        time_s = None if number is None else seconds(number[1])
        if time_s is not None:
            times_s.append(time_s)
    return tuple(zip(times_s[::2], times_s[1::2], strict=False)) or None


_TO = Rule("to", r"(\d+\.*\d*)\s* to \s*(\d+\.*\d*)", "an interval for each", _joined_by(TO, TO_BETWEEN))
_SENTENCES = Rule(
    "keyword sentences",
    r"sentences (split at ! ? and line ends) with start, end or happen",
    "their first numbers, two by two",
    _keyword_sentences,
)

ORIGINAL_INTERVALS: tuple[Rule[Spans], ...] = (
    Rule("hyphen", r"(\d+\.*\d*)\s*-\s*(\d+\.*\d*)", "an interval for each", _joined_by(HYPHEN, HYPHENED)),
    _TO,
    _SENTENCES,
)
"""compute_metrics_original_etchat.py and its strict_rvq sister; the text is in lower case."""

D2VLM_INTERVALS: tuple[Rule[Spans], ...] = (
    Rule(
        "hyphen, dots trimmed",
        r"(\d+\.*\d*)\s*-\s*(\d+\.*\d*), dots behind either number dropped",
        "an interval for each",
        _joined_by(HYPHEN, HYPHENED, "."),
    ),
    _TO,
    _SENTENCES,
)
"""new_compute_metrics.py, on what stands behind the last `</evi>`."""

EVIDENCE_INTERVALS: tuple[Rule[Spans], ...] = ORIGINAL_INTERVALS[:1]
"""new_compute_metrics.py, on what stands before the first `</evi>`; starts and ends stay as they are."""


@dataclass(frozen=True)
class Said:
    """Intervals read from an answer: of the answer half, and of the evidence half where there is one."""

    answer: Spans = ()
    evidence: Spans = ()


def in_order(spans: Sequence[Span]) -> Spans:
    """Each with its smaller time first."""
    return tuple((min(span), max(span)) for span in spans)


def original_intervals(text: str) -> Said:
    """Intervals of the whole text, `</evi>` or not."""
    found = first_that_applies(ORIGINAL_INTERVALS, plain_digits(text.lower()))
    return Said(in_order(found or ()))


def d2vlm_intervals(text: str) -> Said:
    """Intervals of both halves; nothing without `</evi>`, and nothing of the evidence without an answer."""
    first, *rest = plain_digits(text.lower()).split(END)
    if not rest:
        return Said()
    answer = first_that_applies(D2VLM_INTERVALS, rest[-1])
    evidence = first_that_applies(EVIDENCE_INTERVALS, first)
    return Said(in_order(answer or ()), evidence or ())


def first_signed_number(text: str) -> float | None:
    r"""First `[-+]?\d*\.\d+|[-+]?\d+`: the moment of a highlight, as the original script reads it."""
    match = _SIGNED_NUMBER.search(plain_digits(text))
    return None if match is None else seconds(match[0])
