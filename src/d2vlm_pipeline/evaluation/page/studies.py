"""Studies on the page: what each measured, its figures against what is required of them, its curves."""

import math
from collections.abc import Sequence

from d2vlm_pipeline.evaluation.page.blocks import (
    TONES,
    Block,
    Chart,
    Finding,
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
    blocks: list[Block] = [finding(shown[name]) for name in shown if name not in ON_CONFIDENCE]
    if not blocks:
        blocks = [Note(f"No studies of {system} were made with this run.", is_absence=True)]
    return Section("studies", "Studies", intro, tuple(blocks))


def confidence_studies(studies: Studies | None) -> tuple[Block, ...]:
    """Blocks of the studies on confidence, none where none were made."""
    shown = {} if studies is None else studies.studies
    return tuple(finding(shown[name]) for name in ON_CONFIDENCE if name in shown)


def finding(study: Study) -> Finding:
    """A study with the figure that sums it up first."""
    first = study.figures[study.headline]
    figures = [first, *(figure for name, figure in study.figures.items() if name != study.headline)]
    panels: dict[str, list[Curve]] = {}
    for curve in study.curves.values():
        panels.setdefault(curve.panel, []).append(curve)
    head: tuple[str, ...] = ("figure", "value", "interval", "n")
    rows = [_row(figure) for figure in figures]
    if any(figure.required is not None for figure in figures):
        head = (*head, "required")
        rows = [(*row, _required(figure)) for row, figure in zip(rows, figures, strict=True)]
    return Finding(
        title=study.title,
        headline=f"{first.title}: {rows[0][1]}" + (f" ({rows[0][2]})" if first.low is not None else ""),
        text=f"{study.definition} Over {study.clips} clips.",
        figures=TextTable("", head, tuple(rows), numeric=(1, 2, 3)),
        charts=tuple(_chart(panel, curves) for panel, curves in panels.items()),
        notes=study.notes,
    )


def _row(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        return figure.title, "nothing to measure", "–", str(figure.n)
    interval = "–" if figure.low is None else f"{figure.low:.2f} – {figure.high:.2f}"
    return figure.title, f"{figure.value:.2f}{_UNITS[figure.unit]}", interval, str(figure.n)


def _required(figure: Figure) -> str:
    if figure.required is None:
        return ""
    least = f"at least {figure.required:g}{_UNITS[figure.unit]}"
    if figure.value is None:
        return least
    return f"{least}: {'reached' if figure.value >= figure.required else 'not reached'}"


def _chart(panel: str, curves: Sequence[Curve]) -> Chart:
    points = [point for curve in curves for point in curve.points]
    ys = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    x_range, y_range = _ends([point.x for point in points]), _ends(ys)
    if any(curve.diagonal for curve in curves):
        # A square, cut down to where there is something to see.
        least = min([*ys, *(point.x for point in points)])
        x_range = y_range = (10.0 * math.floor(min(least, 90.0) / 10.0), 100.0)
    return Chart(
        title=panel.capitalize(),
        x_label=curves[0].x,
        y_label=curves[0].y,
        lines=tuple(_line(curve, tone) for tone, curve in enumerate(curves)),
        x_range=x_range,
        y_range=y_range,
        diagonal=any(curve.diagonal for curve in curves),
    )


def _line(curve: Curve, tone: int) -> Line:
    points = (Point(point.x, point.y, point.low, point.high, f"n {point.n}") for point in curve.points)
    return Line(curve.title, tone % TONES, tuple(points))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds zero and the values, the upper one round."""
    low, high = min([0.0, *values]), max([0.0, *values])
    step = 10.0 if high > 10.0 else 1.0
    return low, max(step * math.ceil(high / step), low + step)
