"""The two halves of a grounded response, and the text they are written as.

K times `<evi>`, `</evi>`, then the answer, in which the k-th `<evi>` refers to the k-th interval. `render`
and `parse_response` are inverse: the two tokens cannot occur in text, and neither can begin inside the other.
"""

from typing import NamedTuple, Self

from pydantic import StrictInt, StrictStr, field_validator, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline.interval import Interval

EVI = "<evi>"
EVI_END = "</evi>"

Segment = StrictStr | StrictInt


class ResponseError(ValueError):
    """A response text that does not have the form of two halves."""


class Halves(NamedTuple):
    """A response text taken apart, before anything is known of its intervals.

    `segments` are texts and references; references are numbered 0, 1 … in order of appearance, and may be
    fewer or more than `evidence_count`.
    """

    evidence_count: int
    segments: tuple[str | int, ...]

    @property
    def reference_count(self) -> int:
        """Number of `<evi>` in the answer half."""
        return sum(isinstance(segment, int) for segment in self.segments)


class GroundedResponse(StrictModel):
    """Evidence intervals and an answer that refers to them.

    Segments are texts and references k; the references are exactly 0 … K - 1 in order, or none at all (an
    answer without references behind an evidence half, rung R1 of the ladder). Adjacent texts are merged and
    empty ones dropped, so that equal renderings are equal records.
    """

    evidence: tuple[Interval, ...] = ()
    segments: tuple[Segment, ...] = ()

    @field_validator("segments")
    @classmethod
    def _normal_form(cls, segments: tuple[str | int, ...]) -> tuple[str | int, ...]:
        merged = _merged(segments)
        for segment in merged:
            if isinstance(segment, str):
                refuse_tokens(segment)
        return merged

    @model_validator(mode="after")
    def _references_in_order(self) -> Self:
        references = [segment for segment in self.segments if isinstance(segment, int)]
        if references and references != list(range(len(self.evidence))):
            raise ValueError(
                f"references must be 0 to {len(self.evidence) - 1} in order, or none; got {references}"
            )
        return self

    @property
    def evidence_half(self) -> str:
        """K times `<evi>`, then `</evi>`."""
        return EVI * len(self.evidence) + EVI_END

    @property
    def answer_half(self) -> str:
        """The answer with `<evi>` where it refers to an interval."""
        return "".join(EVI if isinstance(segment, int) else segment for segment in self.segments)

    def render(self) -> str:
        """The full response text, both halves."""
        return self.evidence_half + self.answer_half


def parse_response(text: str, intervals: tuple[Interval, ...] | list[Interval]) -> GroundedResponse:
    """Inverse of `GroundedResponse.render`, given the intervals that its `<evi>` stand for.

    Raises:
        ResponseError: malformed halves, or counts of `<evi>` that do not fit `intervals`.
    """
    halves = split_response(text)
    if halves.evidence_count != len(intervals):
        raise ResponseError(
            f"{halves.evidence_count} {EVI} in the evidence half for {len(intervals)} intervals"
        )
    if halves.reference_count not in (0, len(intervals)):
        raise ResponseError(
            f"{halves.reference_count} {EVI} in the answer half for {len(intervals)} intervals"
        )
    return GroundedResponse(evidence=tuple(intervals), segments=halves.segments)


def split_response(text: str) -> Halves:
    """Take a response text apart; the counts of the two halves need not agree.

    Raises:
        ResponseError: no `</evi>`, several, or something other than `<evi>` before it.
    """
    evidence_half, end, answer_half = text.partition(EVI_END)
    if not end:
        raise ResponseError(f"no {EVI_END}: the evidence half does not end")
    if EVI_END in answer_half:
        raise ResponseError(f"more than one {EVI_END}")
    count = evidence_half.count(EVI)
    if evidence_half != EVI * count:
        raise ResponseError(f"text in the evidence half: {evidence_half[:40]!r}")
    return Halves(count, split_answer(answer_half))


def split_answer(answer: str) -> tuple[str | int, ...]:
    """Segments of an answer half, `<evi>` numbered in order of appearance; no empty texts."""
    head, *rest = answer.split(EVI)
    segments: list[str | int] = [head]
    for k, text in enumerate(rest):
        segments += [k, text]
    return tuple(segment for segment in segments if segment != "")


def refuse_tokens(text: str) -> str:
    """Return `text` unchanged.

    Raises:
        ValueError: it contains one of the two tokens, which would read as structure.
    """
    for token in (EVI, EVI_END):
        if token in text:
            raise ValueError(f"plain text must not contain {token}")
    return text


def _merged(segments: tuple[str | int, ...]) -> tuple[str | int, ...]:
    merged: list[str | int] = []
    for segment in segments:
        if segment == "":
            continue
        if isinstance(segment, str) and merged and isinstance(merged[-1], str):
            merged[-1] += segment
        else:
            merged.append(segment)
    return tuple(merged)
