"""What a system answered."""

from typing import Self

from pydantic import Field, JsonValue, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline.interval import Interval
from d2vlm_pipeline.timeline.sample import NonBlank, PlainText, Task


class PredictedInterval(Interval):
    """An interval with the calibrated probability, in [0, 1], that it is right."""

    confidence: float = Field(ge=0, le=1)

    @property
    def interval(self) -> Interval:
        """The interval alone; what compares equal to a true one."""
        return Interval(start_s=self.start_s, end_s=self.end_s)


class TextSegment(StrictModel):
    """Plain text of an answer."""

    text: PlainText


class EvidenceSegment(StrictModel):
    """An `<evi>` of the answer half: its own interval, and its partner in the evidence half, None without."""

    evidence: int | None = Field(default=None, ge=0)
    interval: PredictedInterval


class ModelRef(StrictModel):
    """Which model answered; version and alias are None outside the registry."""

    name: NonBlank
    version: str | None = None
    alias: str | None = None
    digest: str


class Prediction(StrictModel):
    """One answer with everything needed to score, show and repeat it.

    Attributes:
        answer: the text with times written out.
        segments: the answer half piece by piece.
        evidence: the evidence half.
        raw: what the model emitted, special tokens included.
        parsed: whether `raw` had the form of a response; `parse_error` says why not.
    """

    sample_id: NonBlank | None = None
    video: NonBlank
    task: Task | None = None
    system: NonBlank
    question: str
    answer: str
    segments: tuple[TextSegment | EvidenceSegment, ...] = ()
    evidence: tuple[PredictedInterval, ...] = ()
    raw: str
    parsed: bool
    parse_error: str | None = None
    decoding: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = 0
    timebase_digest: str
    model: ModelRef

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.parsed != (self.parse_error is None):
            raise ValueError("parse_error is given exactly where parsed is false")
        for segment in self.segments:
            partner = segment.evidence if isinstance(segment, EvidenceSegment) else None
            if partner is not None and partner >= len(self.evidence):
                raise ValueError(
                    f"a segment points at evidence {partner}, but there are {len(self.evidence)}"
                )
        return self

    @property
    def answer_intervals(self) -> tuple[PredictedInterval, ...]:
        """Intervals of the answer half, in order."""
        return tuple(segment.interval for segment in self.segments if isinstance(segment, EvidenceSegment))
