"""From what a model emitted to what it said.

A response is `<evi>`×K `</evi>` and then the answer, in which the k-th `<evi>` refers to the k-th interval
of the evidence half but has an interval of its own (both are scored). Whatever the text, parsing ends with
fields that can be shown and, where the form is broken, with the reason; it never raises.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from d2vlm_pipeline.evaluation.reading import OPTION_LETTERS, lettered
from d2vlm_pipeline.timeline import (
    EVI,
    EVI_END,
    GROUNDED_TASKS,
    EvidenceSegment,
    PredictedInterval,
    TextSegment,
    split_answer,
)

Segment = TextSegment | EvidenceSegment

# A grounded choice always has its event; everywhere else the event asked for may be absent.
_TASKS_WITHOUT_DENIAL = ("gvq",)

_DENIAL = re.compile(r"n't\b|\b(?:no|not|never|none|nothing|nowhere|cannot|absent)\b", re.IGNORECASE)


class ParseProblem(StrEnum):
    """Why a response counts as unparsed; the text is what `parse_error` holds."""

    NO_END = f"no {EVI_END} between evidence and answer"
    REPEATED_END = f"more than one {EVI_END}"
    EVIDENCE_TEXT = "text inside the evidence half"
    INTERVAL_COUNT = f"more or fewer intervals than {EVI}"
    EMPTY_ANSWER = "empty answer"
    NO_INTERVAL = "the task wants an interval and neither half has one, nor is the event denied"
    NO_OPTION = "options exist and the answer names none of them by letter"


class ParsedResponse(NamedTuple):
    """The fields of a Prediction that come from the response itself."""

    answer: str
    segments: tuple[Segment, ...]
    evidence: tuple[PredictedInterval, ...]
    parsed: bool
    parse_error: str | None


def parse_generation(
    raw: str,
    intervals: Sequence[PredictedInterval],
    task: str | None = None,
    options: Sequence[str] | None = None,
) -> ParsedResponse:
    """Take a generated response apart.

    Args:
        raw: the emitted text with `<evi>` and `</evi>`, other special tokens removed.
        intervals: one predicted interval for each `<evi>` of `raw`, in order of emission.
        task: task code, where known: a grounded task wants an interval (or a denial of the event).
        options: what there is to choose from, where there is a choice: the answer must then name a letter.

    Returns:
        Answer with times written out, segments, evidence half, and the first problem found. Without `</evi>`
        everything counts as answer, so that there is something to show.
    """
    evidence_text, has_end, answer_text = raw.partition(EVI_END)
    if not has_end:
        evidence_text, answer_text = "", raw
    evidence = tuple(intervals[: evidence_text.count(EVI)])
    # A space keeps the pieces around a stray token from growing together into another token.
    segments = _segments(answer_text.replace(EVI_END, " "), intervals[len(evidence) :], evidence)
    problem = _form_problem(raw, evidence_text, bool(has_end), len(intervals))
    problem = problem or _content_problem(segments, len(evidence), task, options)
    return ParsedResponse(
        answer=written_out(segments),
        segments=segments,
        evidence=evidence,
        parsed=problem is None,
        parse_error=None if problem is None else str(problem),
    )


def written_out(segments: Sequence[Segment]) -> str:
    """The answer as a person reads it: `The event happens in 12.0 - 20.5 s.`"""
    return "".join(
        segment.text if isinstance(segment, TextSegment) else _times(segment.interval) for segment in segments
    ).strip()


def answer_text(segments: Sequence[Segment]) -> str:
    """The words of the answer without its times."""
    return "".join(segment.text for segment in segments if isinstance(segment, TextSegment)).strip()


def option_index(text: str, count: int) -> int | None:
    """Index of the option that `text` names by letter, None where it names none of the `count` options.

    The first `(B)` anywhere decides; else a leading letter that stands alone (`B.`, `B)`, `B:`, `B`). A
    letter beyond the options is no answer, and nothing is guessed from the words.
    """
    return lettered(OPTION_LETTERS, text, count)


def reads_as_denial(text: str) -> bool:
    """Whether the words say that nothing of the kind occurs: `No such event happens in the video.`"""
    return _DENIAL.search(text) is not None


def _segments(
    text: str, intervals: Sequence[PredictedInterval], evidence: Sequence[PredictedInterval]
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for piece in split_answer(text):
        if isinstance(piece, str):
            segments.append(TextSegment(text=piece))
        elif piece < len(intervals):
            partner = piece if piece < len(evidence) else None
            segments.append(EvidenceSegment(evidence=partner, interval=intervals[piece]))
    return tuple(segments)


def _form_problem(raw: str, evidence_text: str, has_end: bool, interval_count: int) -> ParseProblem | None:
    if not has_end:
        return ParseProblem.NO_END
    if raw.count(EVI_END) > 1:
        return ParseProblem.REPEATED_END
    if evidence_text.replace(EVI, " ").strip():
        return ParseProblem.EVIDENCE_TEXT
    if raw.count(EVI) != interval_count:
        return ParseProblem.INTERVAL_COUNT
    return None


def _content_problem(
    segments: Sequence[Segment], evidence_count: int, task: str | None, options: Sequence[str] | None
) -> ParseProblem | None:
    text = answer_text(segments)
    refers = any(isinstance(segment, EvidenceSegment) for segment in segments)
    if not text and not refers:
        return ParseProblem.EMPTY_ANSWER
    if options is not None and option_index(text, len(options)) is None:
        return ParseProblem.NO_OPTION
    # Evidence that the answer does not refer to is a form of its own (rung R1 of the ladder); it is scored.
    if task in GROUNDED_TASKS and not refers and not evidence_count:
        may_deny = task not in _TASKS_WITHOUT_DENIAL
        return None if may_deny and reads_as_denial(text) else ParseProblem.NO_INTERVAL
    return None


def _times(interval: PredictedInterval) -> str:
    return f"{interval.start_s:.1f} - {interval.end_s:.1f} s"
