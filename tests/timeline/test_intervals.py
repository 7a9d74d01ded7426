"""Intervals are half open, ordered and finite."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.timeline import Interval

TENTHS = st.integers(0, 300)
INTERVALS = (
    st.tuples(TENTHS, TENTHS)
    .filter(lambda pair: pair[0] < pair[1])
    .map(lambda pair: Interval(start_s=pair[0] / 10, end_s=pair[1] / 10))
)


def interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(2, 1), (1, 1), (-0.1, 1), (math.nan, 1), (0, math.nan), (0, math.inf), (-math.inf, 0)],
)
def test_impossible_intervals_are_refused(start_s: float, end_s: float) -> None:
    with pytest.raises(ValidationError):
        interval(start_s, end_s)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Interval(start_s=0, end_s=1, stop=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("other", "iou"),
    [((0, 10), 1.0), ((5, 15), 1 / 3), ((2, 4), 0.2), ((10, 20), 0.0), ((12, 20), 0.0), ((0, 5), 0.5)],
    ids=["equal", "shifted", "inside", "touching", "apart", "same start"],
)
def test_iou_of_known_cases(other: tuple[float, float], iou: float) -> None:
    assert interval(0, 10).iou(interval(*other)) == pytest.approx(iou)


def test_touching_intervals_do_not_intersect() -> None:
    assert not interval(0, 1).intersects(interval(1, 2))
    assert interval(0, 1).intersects(interval(0.999, 2))


@given(INTERVALS, INTERVALS)
def test_iou_is_symmetric_bounded_and_agrees_with_intersects(a: Interval, b: Interval) -> None:
    assert a.iou(b) == b.iou(a)
    assert 0 <= a.iou(b) <= 1
    assert (a.iou(b) == 1) == (a == b)
    assert (a.iou(b) > 0) == a.intersects(b) == (a.overlap_s(b) > 0)


@given(st.floats(0, 1e9), st.floats(1e-6, 1e6))
def test_an_interval_is_itself_to_the_last_bit(start_s: float, length_s: float) -> None:
    same = interval(start_s, start_s + length_s)
    assert same.iou(same) == 1.0
    assert same.duration_s > 0
