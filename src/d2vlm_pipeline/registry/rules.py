"""The kinds of gates a policy can have, one type each; `gate` says which."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.preferences.accuracy import Factor

Percent = Annotated[float, Field(ge=0, le=100)]
ALL_TASKS = "*"
"""Stands for every task of the split that has the metric; the worst one counts."""


class ScoreName(StrictModel):
    """Where one figure stands in a system's scores."""

    split: str
    task: str
    metric: str

    def __str__(self) -> str:
        return f"{self.split}/{self.task}/{self.metric}"


class _OfScore(StrictModel):
    """A gate on one score.

    Attributes:
        task: a task code, or `*`.
        limit: percent or points.
    """

    split: str
    task: str
    metric: str
    limit: Percent

    def score_name(self, task: str) -> ScoreName:
        """The score that the gate reads for one of its tasks."""
        return ScoreName(split=self.split, task=task, metric=self.metric)

    @property
    def place(self) -> str:
        """What the gate reads, for a sentence."""
        return f"{self.split}/{self.task}/{self.metric}"


class Floor(_OfScore):
    """The score must be at least `limit`."""

    gate: Literal["floor"]

    def __str__(self) -> str:
        return f"floor of {self.place}"


class UnparsedShare(StrictModel):
    """The share of answers that could not be read must be at most `limit` percent."""

    gate: Literal["unparsed_share"]
    split: str
    task: str
    limit: Percent

    def __str__(self) -> str:
        return f"unparsed_share of {self.split}/{self.task}"


class MinN(StrictModel):
    """At least `n` questions must have been asked."""

    gate: Literal["min_n"]
    split: str
    task: str
    n: PositiveInt

    def __str__(self) -> str:
        return f"min_n of {self.split}/{self.task}"


class NoRegression(_OfScore):
    """The score may fall at most `limit` points behind the champion's, however clips had been drawn.

    Attributes:
        confidence: of the one-sided bound of the loss, by a paired bootstrap over clips.
        resamples: draws behind the bound.
    """

    gate: Literal["no_regression"]
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: PositiveInt = 2000

    def __str__(self) -> str:
        return f"no_regression of {self.place}"


class SliceFloor(_OfScore):
    """Every slice of the score must be at least `limit`; the worst one counts.

    Attributes:
        by: slices by task, by duration of the clip or by number of events.
        least_n: slices of fewer questions say nothing and are left out.
    """

    gate: Literal["slice_floor"]
    by: Literal["task", "duration", "events"]
    least_n: PositiveInt = 10

    @model_validator(mode="after")
    def _tasks_are_the_slices(self) -> Self:
        if self.by == "task" and self.task != ALL_TASKS:
            raise ValueError(f'by task: every task is a slice; set task to "{ALL_TASKS}", or use a floor')
        return self

    def __str__(self) -> str:
        return f"slice_floor of {self.place} by {self.by}"


class Calibration(StrictModel):
    """The expected calibration error after refitting on the calib split must be at most `limit` percent."""

    gate: Literal["calibration"]
    limit: Percent

    def __str__(self) -> str:
        return "calibration (ECE after refitting)"


class Latency(StrictModel):
    """An answer must take at most `limit_s` seconds, as the cost study times it."""

    gate: Literal["latency"]
    limit_s: PositiveFloat

    def __str__(self) -> str:
        return "latency (seconds a question)"


class Memory(StrictModel):
    """Answering must need at most `limit_mb` megabytes at its peak, model included."""

    gate: Literal["memory"]
    limit_mb: PositiveFloat

    def __str__(self) -> str:
        return "memory (peak)"


class PreferenceAccuracy(StrictModel):
    """The chosen answer must be the likelier one in at least `limit` percent of held-out pairs.

    Attributes:
        factor: what the rejected answers of the pairs are wrong in.
        least_n: fewer pairs measure nothing.
    """

    gate: Literal["preference_accuracy"]
    factor: Factor
    limit: Percent
    least_n: PositiveInt = 10

    def __str__(self) -> str:
        return f"preference_accuracy of {self.factor}"


class DataGates(StrictModel):
    """Every expectation on the data must hold.

    Attributes:
        warnings: whether expectations that only warn may fail.
    """

    gate: Literal["data_gates"]
    warnings: Literal["refuse", "allow"] = "refuse"

    def __str__(self) -> str:
        return "data_gates"


class NoContamination(StrictModel):
    """No clip of the scored splits, nor one that looks the same, may be in what models were trained on."""

    gate: Literal["no_contamination"]

    def __str__(self) -> str:
        return "no_contamination"


Rule = Annotated[
    Floor
    | UnparsedShare
    | MinN
    | NoRegression
    | SliceFloor
    | Calibration
    | Latency
    | Memory
    | PreferenceAccuracy
    | DataGates
    | NoContamination,
    Field(discriminator="gate"),
]

KINDS: tuple[str, ...] = tuple(
    get_args(rule.model_fields["gate"].annotation)[0] for rule in get_args(get_args(Rule)[0])
)
"""Names of all gates, in the order of the documentation."""
