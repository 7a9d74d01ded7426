"""What a benchmark is to the scorer: files in, one protocol's rules, figures out that can be taken apart.

A protocol is a value of the benchmark's own rules, never a branch on its name: `official:…` are the rules of
a public script with its quirks, `strict` is what a careful reader expects, and each known quirk alone on top
of `strict` (a trap) says what it moves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from d2vlm_pipeline.evaluation.contributions import Contribution

Tree = dict[str, "float | int | str | list[float] | Tree | None"]
"""Figures as published: keys, nesting and units (mostly percent) of the public script."""

Status = Literal["parsed", "unparsed", "missing"]
Span = tuple[float, float]
"""Start and end in seconds."""

Material = TypeVar("Material")
Rules = TypeVar("Rules")


@dataclass(frozen=True)
class Files:
    """What a scoring reads; `truths` holds one file, or several reference sets, or none."""

    predictions: Path
    truths: tuple[Path, ...] = ()


class Query(NamedTuple):
    """One thing that is scored: a question, or a whole video where whole videos are described.

    Attributes:
        id: unique among the queries, as the benchmark names it.
        video: what bootstrap draws.
        truth: true intervals (of the first reference set where there are several).
        said: predicted intervals, in the order given.
        answer: what was predicted, as text, verbatim.
        group: task or source, where a benchmark has several.
        duration_s: length of the video, None where no file says.
    """

    id: str
    video: str
    status: Status
    question: str = ""
    truth: tuple[Span, ...] = ()
    said: tuple[Span, ...] = ()
    answer: str = ""
    group: str = ""
    duration_s: float | None = None


@dataclass(frozen=True)
class Measure:
    """A figure of `metrics` as a function of sums over queries: what intervals and comparisons are made of.

    Attributes:
        path: where it stands in `metrics`: `("full", "MR-mAP", "average")`.
        ids: the query of each row of the contribution.
        contribution: statistics by row, and how their sums make the figure as a share.
        unit: what a share of 1 is in `metrics`: 100 where they are percent.
    """

    path: tuple[str, ...]
    ids: tuple[str, ...]
    contribution: Contribution
    unit: float = 100.0

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.contribution.clips), self.path


@dataclass(frozen=True)
class Counts:
    """Denominators.

    Attributes:
        queries: what the truth asks.
        parsed: queries whose prediction could be read.
        unparsed: queries whose prediction could not.
        missing: queries without prediction.
        duplicates: predictions beyond the first of a query; an error under `strict`.
        unknown: predictions of no query; an error under `strict`.
    """

    queries: int
    parsed: int
    unparsed: int
    missing: int
    duplicates: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Scored:
    """What a protocol makes of the files.

    Attributes:
        headline: paths of the figures that a summary shows, most telling first.
        unavailable: metric to why it could not be computed here, and the mend.
        notes: one line each, for whoever reads the figures.
        tables: figures that the public script reports beside its main ones.
    """

    metrics: Tree
    measures: tuple[Measure, ...]
    queries: tuple[Query, ...]
    counts: Counts
    headline: tuple[tuple[str, ...], ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tables: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol(Generic[Rules]):
    """A way to score, by name; `why` says in a line what sets it apart."""

    rules: Rules
    why: str


def _always(material: Any) -> bool:
    return True


@dataclass(frozen=True)
class Trap(Generic[Rules]):
    """A quirk of a public script: the strict rules with that quirk alone.

    Attributes:
        why: what the script does, as the end of "official:x would differ by +6.1, because …".
        protocol: name of an official protocol that has it.
        number: its number among the known traps of the field's evaluators, 0 for others.
        concerns: whether material of this kind can meet it at all.
    """

    rules: Rules
    why: str
    protocol: str
    number: int = 0
    concerns: Callable[[Any], bool] = field(default=_always, repr=False)


@dataclass(frozen=True)
class Benchmark(Generic[Material, Rules]):
    """A public benchmark, read once and scored under any of its protocols.

    Attributes:
        read: files to material; a mistake in them is a UserError naming file and line.
        score: material to figures. Pure; `strict` refuses duplicates and unknown predictions by UserError.
        protocols: by name; `strict` is one of them, and `official` where the public script is one.
        truth: whether ground truth is a file of its own, or stands beside each prediction.
        references: whether several reference sets may be given.
    """

    name: str
    summary: str
    read: Callable[[Files], Material]
    score: Callable[[Material, Rules], Scored]
    protocols: Mapping[str, Protocol[Rules]]
    traps: tuple[Trap[Rules], ...] = ()
    truth: Literal["file", "carried"] = "file"
    references: bool = False
