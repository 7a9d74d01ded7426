"""What a report page shows, as data: sections of blocks, each of which the template knows how to draw.

Text is plain text everywhere; escaping is the template's business. Scores are percent, times seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from d2vlm_pipeline.evaluation.scores import Score

TONES = 9
"""Colours, with dash and mark, that the style sheet knows."""


@dataclass(frozen=True)
class Note:
    """A paragraph; `is_absence` where it says that something is not there."""

    text: str
    is_absence: bool = False
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Facts:
    """Names and values, one pair a line."""

    title: str
    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class TextTable:
    """A table of words and numbers; columns of numbers are right-aligned."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    kind: ClassVar[str] = "text_table"


@dataclass(frozen=True)
class ScoreRow:
    """One metric of one task, by system; `is_control` where more is not better."""

    task: str
    metric: str
    cells: tuple[Score | None, ...]
    is_control: bool = False

    @property
    def best(self) -> int | None:
        """Column of the highest value, None for a control."""
        held = [(score["value"], -column) for column, score in enumerate(self.cells) if score is not None]
        return -max(held)[1] if held and not self.is_control else None

    @property
    def n(self) -> int:
        """Denominator."""
        return max(score["n"] for score in self.cells if score is not None)


@dataclass(frozen=True)
class ScoreTable:
    """Every metric beside every system, with intervals; `main` are the columns that matter most."""

    title: str
    systems: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    main: tuple[str, ...] = ()
    kind: ClassVar[str] = "score_table"


@dataclass(frozen=True)
class Point:
    """A value with its interval where there is one; `note` is what pointing at it says."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Line:
    """Points of one system; `tone` (0 … 8) chooses colour, dash and mark."""

    name: str
    tone: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over numbers, or over named places where `x_names` are given (then x counts them from 0).

    Attributes:
        diagonal: draw where x and y agree.
        filled: intervals as bands, else as whiskers.
        x_range, y_range: ends of the axes.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float] = (0.0, 100.0)
    x_names: tuple[str, ...] = ()
    diagonal: bool = False
    filled: bool = False
    caption: str = ""


@dataclass(frozen=True)
class Charts:
    """Charts side by side, fewer and larger where `is_wide`."""

    charts: tuple[Chart, ...]
    title: str = ""
    is_wide: bool = False
    kind: ClassVar[str] = "charts"


@dataclass(frozen=True)
class Finding:
    """One study: what was found, in figures and curves beside each other, and what exactly was measured."""

    title: str
    headline: str
    text: str
    figures: TextTable
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]
    kind: ClassVar[str] = "finding"


@dataclass(frozen=True)
class Dot:
    """A score of one system in a forest."""

    name: str
    tone: int
    score: Score


@dataclass(frozen=True)
class Forest:
    """Values and intervals on a common scale: one metric of all systems, say; `most` ends the scale."""

    title: str
    metric: str
    dots: tuple[Dot, ...]
    most: float = 100.0


@dataclass(frozen=True)
class Forests:
    """Forests side by side."""

    forests: tuple[Forest, ...]
    kind: ClassVar[str] = "forests"


@dataclass(frozen=True)
class Bar:
    """A stretch on a lane; `level` counts from the top where stretches overlap."""

    start_s: float
    end_s: float
    level: int = 0
    confidence: float | None = None


@dataclass(frozen=True)
class Lane:
    """The stretches of one name: question, truth, evidence or answer."""

    name: str
    bars: tuple[Bar, ...]
    levels: int = 1


@dataclass(frozen=True)
class Film:
    """A row of frames at equal distances over a clip: one picture as data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Item:
    """One answered question of the gallery.

    Attributes:
        group: task, by which it is filtered.
        kinds: kinds of error, by which it is filtered; the first is shown in colour.
        score: percent of the group's main measure that this answer alone gets.
        duration_s: of the video, None where nobody says; `axis_s` is where the time line ends.
        film: key of its row of frames among the gallery's `films`, None without.
        notes: further lines (options, reason of a failed parse).
    """

    id: str
    group: str
    kinds: tuple[str, ...]
    score: float
    measure: str
    question: str
    truth: str
    answer: str
    video: str
    duration_s: float | None
    axis_s: float | None
    lanes: tuple[Lane, ...]
    film: str | None = None
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Items, worst first, with counts over everything they were chosen from.

    Attributes:
        total: how many answers there are to choose from.
        groups, kinds: counts by name over all of them, in the order of the buttons.
        group_label: what a group is; `order`: what stands first.
        films: rows of frames, by key.
    """

    items: tuple[Item, ...]
    total: int
    groups: Mapping[str, int]
    kinds: Mapping[str, int]
    films: Mapping[str, Film] = field(default_factory=dict)
    group_label: str = "Task"
    order: str = "worst first"
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Unread:
    """An answer that could not be read: what was emitted, verbatim, and why it could not."""

    id: str
    group: str
    system: str
    reason: str
    raw: str


@dataclass(frozen=True)
class Verbatim:
    """Unread answers, `total` where not all are shown; `reasons` counts them by system and reason."""

    items: tuple[Unread, ...]
    total: int
    reasons: tuple[tuple[str, str, int], ...] = ()
    kind: ClassVar[str] = "verbatim"


Block = Note | Facts | TextTable | ScoreTable | Charts | Finding | Forests | Gallery | Verbatim


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; `anchor` names it in links."""

    anchor: str
    title: str
    intro: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        lead: what was found, in a sentence or two.
        facts: a few numbers to begin with: value, and what it counts.
        footer: what a score depends on: prompts, decoding, digests.
    """

    title: str
    eyebrow: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    footer: tuple[Facts, ...] = ()
