"""What `d2vlm score` found out, as a page: the same report as its JSON, for people."""

import math
from collections.abc import Iterable, Iterator, Sequence

from d2vlm_pipeline.evaluation.benchmarks.comparison import Comparison
from d2vlm_pipeline.evaluation.benchmarks.engine import Ranged, Report
from d2vlm_pipeline.evaluation.benchmarks.figures import label, leaf
from d2vlm_pipeline.evaluation.benchmarks.quirks import Otherwise
from d2vlm_pipeline.evaluation.benchmarks.records import Scored
from d2vlm_pipeline.evaluation.benchmarks.slices import Sliced
from d2vlm_pipeline.evaluation.page.blocks import (
    Block,
    Chart,
    Charts,
    Dot,
    Facts,
    Forest,
    Forests,
    Line,
    Note,
    Page,
    Point,
    Section,
    TextTable,
)
from d2vlm_pipeline.evaluation.page.queries import change_gallery, query_gallery, unread_queries
from d2vlm_pipeline.evaluation.scores import Score

ANSWERS = 120
"""Queries in the gallery, at most."""

_FIGURES = 3
_NAMES_IN_CHART = 8
_ABSENT = "–"


def score_page(report: Report, answers: int = ANSWERS) -> Page:
    """The page of a report."""
    scored, counts = report.scored, report.scored.counts
    return Page(
        title=f"{report.benchmark}, scored",
        eyebrow=f"d2vlm score · protocol {report.protocol}",
        lead=_lead(report),
        facts=(
            (f"{counts.queries}", "queries"),
            (f"{len({query.video for query in scored.queries})}", "videos"),
            (f"{counts.unparsed}", "unparsed"),
            (f"{counts.missing}", "missing"),
        ),
        sections=tuple(_sections(report, answers)),
        footer=_footer(report),
    )


def _lead(report: Report) -> str:
    told = []
    for path in report.scored.headline[:_FIGURES]:
        value, ranged = leaf(report.scored.metrics, path), report.intervals.get(path)
        if value is not None:
            interval = "" if ranged is None else f" ({ranged.low:.1f} to {ranged.high:.1f})"
            told.append(f"{label(path)} {value:.2f}{interval}")
    return ", ".join(told) + "."


def _sections(report: Report, answers: int) -> Iterator[Section]:
    percent = f"{report.settings.confidence:.0%}"
    yield Section(
        "figures",
        "Figures",
        f"With the {percent} interval of a bootstrap over videos.",
        tuple(_figures(report)),
    )
    if report.comparison is not None:
        yield Section(
            "comparison",
            "Against the other predictions",
            "These less the others, on the same queries; p by approximate randomisation over videos.",
            tuple(_comparison(report.scored, report.comparison)),
        )
    if report.slices:
        yield Section("slices", "Slices", "Queries that are alike in one way.", tuple(_slices(report.slices)))
    if report.others:
        yield Section(
            "rules",
            "Under other rules",
            f"What other protocols, and known quirks of public scripts one by one, would make of the same "
            f"files: theirs less those of {report.protocol}.",
            (_others(report),),
        )
    yield Section(
        "queries",
        "Queries",
        "What is true and what was said. A query's figure is the mean of the headline figures, of it alone.",
        (query_gallery(report.scored, answers),),
    )
    yield Section(
        "unread",
        "What could not be read",
        "Queries without a prediction, or with one that could not be read.",
        (unread_queries(report.scored),),
    )


def _figures(report: Report) -> Iterator[Block]:
    held = [(path, report.intervals[path]) for path in report.scored.headline if path in report.intervals]
    if held:
        most = _ceiling(ranged.high for _, ranged in held)
        dots = tuple(Dot(label(path[-2:]), 0, _as_score(ranged)) for path, ranged in held)
        yield Forests((Forest("Headline", f"of {report.benchmark}", dots, most),))
    rows = []
    for path in report.scored.headline:
        value, ranged = leaf(report.scored.metrics, path), report.intervals.get(path)
        figures = (_ABSENT, _ABSENT, _ABSENT)
        if ranged is not None:
            figures = (f"{ranged.low:.2f} – {ranged.high:.2f}", str(ranged.n), str(ranged.videos))
        rows.append((label(path), _ABSENT if value is None else f"{value:.2f}", *figures))
    head = ("figure", "value", "interval", "queries", "videos")
    yield TextTable("", head, tuple(rows), numeric=(1, 2, 3, 4))
    for name, why in report.scored.unavailable.items():
        yield Note(f"{name} is unavailable: {why}", is_absence=True)
    for note in report.scored.notes:
        yield Note(note)


def _comparison(scored: Scored, comparison: Comparison) -> Iterator[Block]:
    rows = tuple(
        (
            label(found.path),
            f"{found.value:.2f}",
            f"{found.other:.2f}",
            f"{found.difference:+.2f}",
            f"{found.low:+.2f} – {found.high:+.2f}",
            f"{found.p_value:.4f}",
        )
        for found in comparison.differences
    )
    head = ("figure", "these", "others", "difference", "interval", "p")
    yield TextTable("", head, rows, numeric=(1, 2, 3, 4, 5))
    if comparison.changed:
        yield change_gallery(scored, comparison)


def _slices(slices: Sequence[Sliced]) -> Iterator[Block]:
    """One chart for every dimension; a table where there are too many slices for one."""
    paths = list(dict.fromkeys(part.path for part in slices))[:_FIGURES]
    charts: list[Chart] = []
    tables: list[TextTable] = []
    shown = [part for part in slices if part.path in paths]
    for dimension in dict.fromkeys(part.dimension for part in shown):
        parts = [part for part in shown if part.dimension == dimension]
        names = list(dict.fromkeys(part.name for part in parts))
        if len(names) > _NAMES_IN_CHART or sum(map(len, names)) > 6 * _NAMES_IN_CHART:
            tables.append(_slice_table(dimension, names, paths, parts))
        else:
            charts.append(_slice_chart(dimension, names, paths, parts))
    if charts:
        yield Charts(tuple(charts), is_wide=True)
    yield from tables


def _slice_chart(
    dimension: str, names: Sequence[str], paths: Sequence[tuple[str, ...]], parts: Sequence[Sliced]
) -> Chart:
    lines = []
    for tone, path in enumerate(paths):
        points = (
            Point(float(names.index(part.name)), part.value, part.low, part.high, f"n {part.n}")
            for part in parts
            if part.path == path
        )
        lines.append(Line(label(path), tone, tuple(points)))
    most = _ceiling(part.high for part in parts)
    return Chart(
        title=f"By {dimension}",
        x_label=dimension,
        y_label="figure",
        lines=tuple(lines),
        x_range=(0.0, float(len(names) - 1)),
        y_range=(0.0, most),
        x_names=tuple(names),
    )


def _slice_table(
    dimension: str, names: Sequence[str], paths: Sequence[tuple[str, ...]], parts: Sequence[Sliced]
) -> TextTable:
    held = {(part.name, part.path): part for part in parts}
    rows = []
    for name in names:
        found = [held.get((name, path)) for path in paths]
        n = max(part.n for part in found if part is not None)
        cells = (
            _ABSENT if part is None else f"{part.value:.2f} ({part.low:.1f} – {part.high:.1f})"
            for part in found
        )
        rows.append((name, str(n), *cells))
    head = (dimension, "n", *(label(path) for path in paths))
    return TextTable(f"By {dimension}", head, tuple(rows), numeric=tuple(range(1, len(head))))


def _others(report: Report) -> TextTable:
    rows = tuple(
        (
            other.protocol if other.number is None else f"{other.protocol}, one quirk",
            "–" if other.refused else _moved(other),
            f"cannot score these files: {other.refused}" if other.refused else other.why,
        )
        for other in report.others
    )
    return TextTable("", ("rules", "moves", "why"), rows)


def _moved(other: Otherwise) -> str:
    """Headline figures that would differ, by how much; `nothing here` where none would."""
    told = [f"{label(path[-2:])} {other.differences[path]:+.2f}" for path in other.moved]
    more = len(told) - _FIGURES
    shown = ", ".join(told[:_FIGURES]) or "nothing here"
    return f"{shown} and {more} more" if more > 0 else shown


def _ceiling(highs: Iterable[float]) -> float:
    """The next ten above all; most figures are percent, but not all, and some are small."""
    return 10.0 * math.ceil(max([10.0, *highs]) / 10.0)


def _footer(report: Report) -> tuple[Facts, ...]:
    settings = report.settings
    return (
        Facts(
            "Scoring",
            (
                ("benchmark", report.benchmark),
                ("protocol", report.protocol),
                *((name, str(version)) for name, version in report.versions.items()),
                (
                    "intervals",
                    f"{settings.confidence:.0%}, {settings.resamples} draws of videos, seed {settings.seed}",
                ),
                *((name, str(count)) for name, count in vars(report.scored.counts).items()),
            ),
        ),
        Facts(
            "Files, by digest",
            tuple(
                (f"{role}: {name}", digest)
                for role, files in report.digests.items()
                for name, digest in files
            ),
        ),
    )


def _as_score(ranged: Ranged) -> Score:
    return Score(value=ranged.value, low=ranged.low, high=ranged.high, n=ranged.n, unparsed=0)
