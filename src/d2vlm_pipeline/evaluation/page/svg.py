"""Charts as SVG that a page carries inline: small, coloured by classes of the style sheet, told in words too.

Tones are classes `t0` … `t8`: the style sheet gives each a colour and a dash, so that dark pages, prints and
eyes that tell few colours apart are served by one place. Every text is escaped where an element is written.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup, escape

from d2vlm_pipeline.evaluation.page.blocks import Chart, Dot, Forest, Line, Point

_WIDTH, _HEIGHT = 320.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 12.0, 10.0, 40.0
_DODGE = 7.0  # between whiskers of neighbouring lines over one named place
_ROW = 21.0
_NAME_LETTERS = 20
_LETTER = 6.4  # width of one, about
_TRIANGLE = ((0.0, -1.25), (1.2, 0.95), (-1.2, 0.95))
_DIAMOND = ((0.0, -1.35), (1.35, 0.0), (0.0, 1.35), (-1.35, 0.0))

Scale = Callable[[float], float]


def element(name: str, *children: str, **attributes: object) -> Markup:
    """One element, attributes (`_` for `-`, `class_` for `class`) and children escaped unless markup."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<") + name + written + Markup(">") + inside + Markup("</") + name + Markup(">")


def chart_svg(chart: Chart) -> Markup:
    """A chart with axes, grid, diagonal, lines and their intervals."""
    x_of = _scale(chart.x_range, _LEFT, _WIDTH - _RIGHT, named=len(chart.x_names))
    y_of = _scale(chart.y_range, _HEIGHT - _BOTTOM, _TOP)
    return element(
        "svg",
        element("title", chart.title),
        element("desc", _in_words(chart)),
        *_axes(chart, x_of, y_of),
        *_diagonal(chart, x_of, y_of),
        *(_line(chart, index, x_of, y_of) for index in range(len(chart.lines))),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        class_="chart",
    )


def forest_svg(forest: Forest) -> Markup:
    """Systems below each other: a dot for the value, a bar for its interval."""
    longest = max(len(dot.name) for dot in forest.dots)
    left, right = 14.0 + _LETTER * min(longest, _NAME_LETTERS), 40.0
    height = _ROW * len(forest.dots) + 24.0
    x_of = _scale((0.0, forest.most), left, _WIDTH - right)
    bottom = height - 20.0
    grid = [
        part
        for tick in ticks(0.0, forest.most, 4)
        for part in (
            element("line", x1=x_of(tick), x2=x_of(tick), y1=0, y2=bottom, class_="grid"),
            element("text", f"{tick:g}", x=x_of(tick), y=bottom + 13, text_anchor="middle", class_="tick"),
        )
    ]
    rows = (_forest_row(dot, _ROW * (row + 0.5), x_of, left - 7.0) for row, dot in enumerate(forest.dots))
    words = "; ".join(_dot_in_words(dot) for dot in forest.dots)
    return element(
        "svg",
        element("title", f"{forest.title}: {forest.metric}"),
        element("desc", words),
        *grid,
        *rows,
        viewBox=f"0 0 {_WIDTH:g} {height:g}",
        role="img",
        class_="forest",
    )


def mark(tone: int, x: float, y: float, size: float = 3.6) -> Markup:
    """What stands for a point of a tone: circle, square, triangle or diamond by turns."""
    shape = tone % 4
    if shape == 0:
        return element("circle", cx=x, cy=y, r=size, class_="mark")
    if shape == 1:
        return element("rect", x=x - size, y=y - size, width=2 * size, height=2 * size, class_="mark")
    corners = _TRIANGLE if shape == 2 else _DIAMOND
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return element("polygon", points=points, class_="mark")


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers within [low, high], evenly spaced, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _forest_row(dot: Dot, y: float, x_of: Scale, name_end: float) -> Markup:
    score = dot.score
    name = dot.name if len(dot.name) <= _NAME_LETTERS else dot.name[: _NAME_LETTERS - 1] + "…"
    return element(
        "g",
        element("title", _dot_in_words(dot)),
        element("rect", x=0, y=y - _ROW / 2, width=_WIDTH, height=_ROW, class_="hit"),
        element("text", name, x=name_end, y=y + 3.8, text_anchor="end", class_="name"),
        element("line", x1=x_of(score["low"]), x2=x_of(score["high"]), y1=y, y2=y, class_="interval"),
        mark(dot.tone, x_of(score["value"]), y, 4.2),
        element("text", f"{score['value']:.1f}", x=_WIDTH - 2, y=y + 3.8, text_anchor="end", class_="value"),
        class_=f"t{dot.tone}",
    )


def _dot_in_words(dot: Dot) -> str:
    score = dot.score
    unread = f", {score['unparsed']} unparsed" if score["unparsed"] else ""
    interval = f"{score['low']:.1f} to {score['high']:.1f}"
    return f"{dot.name} {score['value']:.1f} % ({interval}, n {score['n']}{unread})"


def _scale(ends: tuple[float, float], start: float, end: float, named: int = 0) -> Scale:
    """From a value to a place; with names, value k is the middle of the k-th of so many equal stretches."""
    if named:
        return lambda value: start + (value + 0.5) / named * (end - start)
    low, high = ends
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _axes(chart: Chart, x_of: Scale, y_of: Scale) -> Iterator[Markup]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tick in ticks(*chart.y_range):
        yield element("line", x1=_LEFT, x2=right, y1=y_of(tick), y2=y_of(tick), class_="grid")
        yield element("text", f"{tick:g}", x=_LEFT - 6, y=y_of(tick) + 3.5, text_anchor="end", class_="tick")
    counted = [(float(place), name) for place, name in enumerate(chart.x_names)]
    for place, name in counted or [(tick, f"{tick:g}") for tick in ticks(*chart.x_range, 8)]:
        yield element("text", name, x=x_of(place), y=bottom + 14, text_anchor="middle", class_="tick")
    yield element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis")
    middle = (_LEFT + right) / 2
    yield element("text", chart.x_label, x=middle, y=_HEIGHT - 8, text_anchor="middle", class_="label")
    y = (_TOP + bottom) / 2
    turned = f"rotate(-90 10 {y:g})"
    yield element("text", chart.y_label, x=10, y=y, transform=turned, text_anchor="middle", class_="label")


def _diagonal(chart: Chart, x_of: Scale, y_of: Scale) -> Iterator[Markup]:
    if chart.diagonal:
        low = max(chart.x_range[0], chart.y_range[0])
        high = min(chart.x_range[1], chart.y_range[1])
        yield element("line", x1=x_of(low), y1=y_of(low), x2=x_of(high), y2=y_of(high), class_="diagonal")


def _line(chart: Chart, index: int, x_of: Scale, y_of: Scale) -> Markup:
    line = chart.lines[index]
    dodge = (index - (len(chart.lines) - 1) / 2) * _DODGE if chart.x_names else 0.0
    places = [(x_of(point.x) + dodge, y_of(point.y), point) for point in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts = [element("polyline", points=path, class_="line")] if len(places) > 1 else []
    if chart.filled:
        parts = [*_band(places, y_of), *parts]
    else:
        parts += [
            element("line", x1=x, x2=x, y1=y_of(point.low), y2=y_of(point.high), class_="interval")
            for x, _, point in places
            if point.low is not None and point.high is not None
        ]
    return element("g", *parts, *(_marked(line, *place) for place in places), class_=f"t{line.tone}")


def _band(places: Sequence[tuple[float, float, Point]], y_of: Scale) -> list[Markup]:
    held = [(x, p.low, p.high) for x, _, p in places if p.low is not None and p.high is not None]
    if len(held) < 2:
        return []
    upper = [f"{x:.1f},{y_of(high):.1f}" for x, _, high in held]
    lower = [f"{x:.1f},{y_of(low):.1f}" for x, low, _ in reversed(held)]
    return [element("polygon", points=" ".join([*upper, *lower]), class_="band")]


def _marked(line: Line, x: float, y: float, point: Point) -> Markup:
    return element("g", element("title", point_in_words(line, point)), mark(line.tone, x, y))


def point_in_words(line: Line, point: Point) -> str:
    """What a point says: name, value, interval, note."""
    interval = "" if point.low is None or point.high is None else f" ({point.low:.1f} to {point.high:.1f})"
    note = f", {point.note}" if point.note else ""
    return f"{line.name}: {point.y:.1f}{interval}{note}"


def _in_words(chart: Chart) -> str:
    def at(x: float) -> str:
        return chart.x_names[int(x)] if chart.x_names else f"{x:g}"

    told = (
        f"{line.name}: " + ", ".join(f"{point.y:.1f} at {at(point.x)}" for point in line.points)
        for line in chart.lines
    )
    return f"{chart.y_label} against {chart.x_label}. " + "; ".join(told)


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
