"""Values by clip to figures: means and other statistics with their bootstrap intervals over clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.bootstrap import Estimate, estimate, estimate_statistics
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.studies.records import Figure, Point, Unit

Statistics = Callable[[NDArray[np.intp]], Sequence[float] | Floats]
"""Rows, some of them repeatedly, to numbers."""

_DECIMALS = 4
_UNIT: dict[Unit, float] = {"percent": 100.0, "points": 100.0}


@dataclass(frozen=True)
class Drawing:
    """How intervals are drawn; figures over the same clips share their draws."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    @property
    def _seed(self) -> int:
        return derive_seed(self.seed, "studies")

    def of_ratio(self, clips: Sequence[str], values: Floats, weights: Floats) -> Estimate:
        """Sum of values over sum of weights."""
        rows_R2 = np.stack([values, weights], axis=1)
        return estimate(
            Contribution(tuple(clips), rows_R2, ratio, unparsed=0),
            self.resamples,
            self.confidence,
            self._seed,
        )

    def of_statistics(self, clips: Sequence[str], statistics: Statistics) -> list[Estimate]:
        """Any functions of the rows."""
        return estimate_statistics(clips, statistics, self.resamples, self.confidence, self._seed)


def mean_figure(
    title: str,
    clips: Sequence[str],
    values: Sequence[float] | Floats,
    drawing: Drawing,
    unit: Unit = "percent",
    required: float | None = None,
) -> Figure:
    """Mean of one value a row (a share, where the unit is percent or points); `n` is the number of rows."""
    each = np.asarray(values, dtype=np.float64)
    return ratio_figure(title, clips, each, np.ones_like(each), drawing, unit, required)


def ratio_figure(
    title: str,
    clips: Sequence[str],
    values: Floats,
    weights: Floats,
    drawing: Drawing,
    unit: Unit = "percent",
    required: float | None = None,
) -> Figure:
    """Sum of values over sum of positive weights; `n` is the sum of weights."""
    if not len(clips):
        return Figure(title=title, value=None, n=0, unit=unit, required=required)
    found = drawing.of_ratio(clips, values, weights)
    return _figure(title, found, round(float(weights.sum())), unit, required)


def statistic_figures(
    titles: Sequence[tuple[str, Unit]], clips: Sequence[str], statistics: Statistics, drawing: Drawing
) -> list[Figure]:
    """Statistics of the rows, which stand for the clips given, by title and unit."""
    if not len(clips):
        return [Figure(title=title, value=None, n=0, unit=unit) for title, unit in titles]
    found = zip(titles, drawing.of_statistics(clips, statistics), strict=True)
    return [_figure(title, each, len(clips), unit, None) for (title, unit), each in found]


def mean_point(x: float, clips: Sequence[str], values: Sequence[float] | Floats, drawing: Drawing) -> Point:
    """Mean in percent at a place x of a curve, of at least one row."""
    each = np.asarray(values, dtype=np.float64)
    return point_of(x, drawing.of_ratio(clips, each, np.ones_like(each)), len(clips))


def point_of(x: float, found: Estimate, n: int) -> Point:
    """A share of one, in percent."""
    y, low, high = (round(100.0 * number, _DECIMALS) for number in found)
    return Point(x=x, y=y, low=low, high=high, n=n)


def _figure(title: str, found: Estimate, n: int, unit: Unit, required: float | None) -> Figure:
    value, low, high = (round(_UNIT.get(unit, 1.0) * number, _DECIMALS) for number in found)
    return Figure(title=title, value=value, low=low, high=high, n=n, unit=unit, required=required)
