"""Studies on the page: what each measured, its figures against what is required of them, its curves."""

from collections.abc import Iterator, Sequence

from d2vlm_pipeline.evaluation.page.blocks import (
    TONES,
    Block,
    Chart,
    Charts,
    Line,
    Note,
    Point,
    Section,
    TextTable,
)
from d2vlm_pipeline.evaluation.studies import Curve, Figure, Studies, Study

_UNITS = {"percent": " %", "points": " points", "seconds": " s", "tokens": " tokens", "megabytes": " MB"}


ON_CONFIDENCE = ("calibration", "abstention")
"""Studies that have a section of their own."""


def studies_section(studies: Studies | None, system: str) -> Section:
    """Studies of a system, but for those on confidence; without any, that there are none."""
    intro = "What scores do not say: each a number with its interval."
    shown = {} if studies is None else studies.studies
    blocks = [block for name in shown if name not in ON_CONFIDENCE for block in study_blocks(shown[name])]
    if not blocks:
        blocks = [Note(f"No studies of {system} were made with this run.", is_absence=True)]
    return Section("studies", "Studies", intro, tuple(blocks))


def confidence_studies(studies: Studies | None) -> tuple[Block, ...]:
    """Blocks of the studies on confidence, none where none were made."""
    shown = {} if studies is None else studies.studies
    return tuple(block for name in ON_CONFIDENCE if name in shown for block in study_blocks(shown[name]))


def study_blocks(study: Study) -> Iterator[Block]:
    """Figures, definition, curves and notes of one study."""
    yield TextTable(
        title=study.title,
        head=("figure", "value", "interval", "n", "required"),
        rows=tuple(_row(figure) for figure in study.figures.values()),
        numeric=(1, 2, 3),
    )
    yield Note(f"{study.definition} Over {study.clips} clips.")
    panels: dict[str, list[Curve]] = {}
    for curve in study.curves.values():
        panels.setdefault(curve.panel, []).append(curve)
    if panels:
        yield Charts(tuple(_chart(panel, curves) for panel, curves in panels.items()), is_wide=True)
    for text in study.notes:
        yield Note(text)


def _row(figure: Figure) -> tuple[str, ...]:
    unit = _UNITS[figure.unit]
    value = "nothing to measure" if figure.value is None else f"{figure.value:.2f}{unit}"
    interval = "–" if figure.low is None else f"{figure.low:.2f} – {figure.high:.2f}"
    return figure.title, value, interval, str(figure.n), _required(figure, unit)


def _required(figure: Figure, unit: str) -> str:
    if figure.required is None:
        return ""
    if figure.value is None:
        return f"at least {figure.required:g}{unit}"
    reached = "reached" if figure.value >= figure.required else "not reached"
    return f"at least {figure.required:g}{unit}: {reached}"


def _chart(panel: str, curves: Sequence[Curve]) -> Chart:
    points = [point for curve in curves for point in curve.points]
    return Chart(
        title=panel,
        x_label=curves[0].x,
        y_label=curves[0].y,
        lines=tuple(_line(curve, tone) for tone, curve in enumerate(curves)),
        x_range=_ends([point.x for point in points]),
        y_range=_ends([v for p in points for v in (p.y, p.low, p.high) if v is not None]),
        diagonal=any(curve.diagonal for curve in curves),
    )


def _line(curve: Curve, tone: int) -> Line:
    points = (Point(point.x, point.y, point.low, point.high, f"n {point.n}") for point in curve.points)
    return Line(curve.title, tone % TONES, tuple(points))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds the values: percent from 0 to 100 where they look like it."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if low >= 0 and 20 < high <= 100:
        return 0.0, 100.0
    return low, high if high > low else low + 1.0
