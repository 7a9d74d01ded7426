"""What studies report: figures with intervals, curves to draw. `Studies` is the schema of studies.json."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel

Unit = Literal["percent", "points", "seconds", "tokens", "megabytes"]


class Figure(StrictModel):
    """One number with its bootstrap interval over clips.

    Attributes:
        title: what it is, for a table: `ECE before calibration`.
        value: None where nothing was there to measure (`n` is 0).
        low, high: None where an interval makes no sense (peak memory).
        n: how many questions, intervals or answers it is over.
        required: what it must reach at least, where something is required of it.
    """

    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: NonNegativeInt
    unit: Unit = "percent"
    required: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self.title}: low and high come together")
        if self.value is None and (self.n or self.low is not None):
            raise ValueError(f"{self.title}: no value, but n {self.n} and an interval")
        return self


class Point(StrictModel):
    """A point of a curve with the interval of its y, where it has one; `n` is what it is over."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    n: NonNegativeInt


class Curve(StrictModel):
    """Points by rising x; where nothing was there to measure there is no curve.

    Attributes:
        title: for the legend.
        x, y: axis labels with units: `share of frames dropped (%)`.
        panel: curves of one panel belong in one plot.
        diagonal: whether y = x is what an ideal model would show.
    """

    title: str
    x: str
    y: str
    panel: str
    diagonal: bool = False
    points: tuple[Point, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        places = [point.x for point in self.points]
        if places != sorted(places):
            raise ValueError(f"{self.title}: points must be in the order of x")
        return self


class Study(StrictModel):
    """One study.

    Attributes:
        definition: what exactly was measured, in a few sentences.
        headline: name of the figure that sums it up.
        clips: how many clips it is over.
        notes: what a reader of the numbers must know.
    """

    title: str
    definition: str
    headline: str
    clips: NonNegativeInt
    figures: dict[str, Figure]
    curves: dict[str, Curve] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_headline(self) -> Self:
        if self.headline not in self.figures:
            raise ValueError(f"{self.title}: no figure {self.headline} among {sorted(self.figures)}")
        return self


class Studies(StrictModel):
    """studies.json: all studies of one system, by name."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    system: str
    model: str
    splits: tuple[str, ...]
    confidence: float
    resamples: int
    studies: dict[str, Study]

    @property
    def shortfalls(self) -> list[str]:
        """One line for each figure that does not reach what is required of it."""
        return [
            f"{study.title}: {figure.title}: {figure.value:g} {figure.unit}, {figure.required:g} are required"
            for study in self.studies.values()
            for figure in study.figures.values()
            if figure.value is not None and figure.required is not None and figure.value < figure.required
        ]
