"""What is asked of a clip, and what the truth is."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline.interval import Interval, Span
from d2vlm_pipeline.timeline.response import EVI, EVI_END, GroundedResponse, refuse_tokens, split_answer
from d2vlm_pipeline.timeline.tasks import GROUNDED_TASKS, MCQ_TASKS, TASKS

NonBlank = Annotated[str, StringConstraints(pattern=r"\S")]
PlainText = Annotated[str, AfterValidator(refuse_tokens)]


def _known_task(task: str) -> str:
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; one of {' '.join(TASKS)}")
    return task


def _without_end_token(text: str) -> str:
    if EVI_END in text:
        raise ValueError(f"{EVI_END} ends the evidence half and is not written in questions or answers")
    return text


def _distinct(options: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(options)) != len(options):
        raise ValueError("options must differ from one another")
    return options


Task = Annotated[str, AfterValidator(_known_task)]
TimedText = Annotated[NonBlank, AfterValidator(_without_end_token)]
"""Question or answer text, in which `<evi>` may stand for an interval."""
_Option = Annotated[NonBlank, AfterValidator(refuse_tokens)]
# Options are named by letters, of which there are no more.
Options = Annotated[tuple[_Option, ...], Field(min_length=2, max_length=26), AfterValidator(_distinct)]


class Event(StrictModel):
    """Something that happens in [start_s, end_s); the caption may be empty where a task has none."""

    start_s: float = Field(ge=0)
    end_s: float
    caption: PlainText = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.start_s < self.end_s:
            raise ValueError(f"event must start before it ends, got [{self.start_s}, {self.end_s})")
        return self

    @property
    def interval(self) -> Interval:
        """When it happens."""
        return Interval(start_s=self.start_s, end_s=self.end_s)


class Sample(StrictModel):
    """One question about one clip, with its true answer.

    `<evi>` in the question stands for `query_intervals` in order, in the answer for `events` in order (the
    order given, not sorted). A grounded task names every event in its answer; other tasks may carry events
    that the answer does not point at. An event that does not occur: `events` empty, an answer that says so.
    """

    id: NonBlank
    video: NonBlank
    task: Task
    source: NonBlank
    split: NonBlank
    question: TimedText
    query_intervals: tuple[Span, ...] = ()
    events: tuple[Event, ...] = ()
    answer: TimedText
    options: Options | None = None
    answer_index: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_queries(self.question, self.query_intervals)
        self._check_answer()
        self._check_options()
        return self

    @property
    def is_absent(self) -> bool:
        """Whether it asks for an event that does not occur."""
        return self.task in GROUNDED_TASKS and not self.events

    @property
    def query_spans(self) -> tuple[Interval, ...]:
        """`query_intervals` as Interval."""
        return tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in self.query_intervals)

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """When the events happen, in their order."""
        return tuple(event.interval for event in self.events)

    def response(self) -> GroundedResponse:
        """The true response: evidence is what the answer points at, nothing for ungrounded answers."""
        segments = split_answer(self.answer)
        return GroundedResponse(evidence=self.intervals if EVI in self.answer else (), segments=segments)

    def _check_answer(self) -> None:
        count = self.answer.count(EVI)
        is_ungrounded = self.task not in GROUNDED_TASKS and count == 0
        if count != len(self.events) and not is_ungrounded:
            raise ValueError(f"{count} {EVI} in the answer for {len(self.events)} events")

    def _check_options(self) -> None:
        if (self.options is None) != (self.answer_index is None):
            raise ValueError("options and answer_index come together or not at all")
        if (
            self.options is not None
            and self.answer_index is not None
            and self.answer_index >= len(self.options)
        ):
            raise ValueError(f"answer_index {self.answer_index} with {len(self.options)} options")
        if self.task in MCQ_TASKS and self.options is None:
            raise ValueError(f"task {self.task} needs options")


class Question(StrictModel):
    """What a predictor is asked; `task` and `sample_id` only where it comes from a Sample."""

    video: NonBlank
    question: TimedText
    query_intervals: tuple[Span, ...] = ()
    options: Options | None = None
    task: Task | None = None
    sample_id: NonBlank | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_queries(self.question, self.query_intervals)
        return self

    @classmethod
    def of_sample(cls, sample: Sample) -> Self:
        """The question of a sample, without its truth."""
        return cls(
            video=sample.video,
            question=sample.question,
            query_intervals=sample.query_intervals,
            options=sample.options,
            task=sample.task,
            sample_id=sample.id,
        )

    @property
    def query_spans(self) -> tuple[Interval, ...]:
        """`query_intervals` as Interval."""
        return tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in self.query_intervals)


def check_queries(question: str, query_intervals: tuple[tuple[float, float], ...]) -> None:
    """Check that every `<evi>` of a question has its interval.

    Raises:
        ValueError: the counts differ.
    """
    count = question.count(EVI)
    if count != len(query_intervals):
        raise ValueError(f"{count} {EVI} in the question for {len(query_intervals)} query_intervals")
