"""How the official code turns intervals into frames, quirks included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.objectives import official_labels, official_spans

positions = st.floats(-50, 50, allow_nan=False)


@pytest.mark.parametrize(
    ("pair", "span"),
    [
        ((3, 6), (3, 6)),
        ((0.5, 1.5), (0, 2)),  # half to even, both ways
        ((2.5, 3.5), (2, 4)),
        ((2.4, 2.6), (2, 3)),
        ((7, 14), (7, 9)),  # beyond the clip
        ((-4, 2), (0, 2)),
        ((12, 20), (9, 9)),  # wholly beyond it
        ((6, 3), (3, 6)),  # reversed
        ((14, -2), (0, 9)),
        ((5, 5), (5, 5)),
    ],
)
def test_pooling_rounds_clamps_and_swaps(pair: tuple[float, float], span: tuple[int, int]) -> None:
    assert official_spans([pair], frames=10) == [span]


@given(pairs=st.lists(st.tuples(positions, positions)), frames=st.integers(1, 40))
def test_every_span_lies_in_the_clip(pairs: list[tuple[float, float]], frames: int) -> None:
    spans = official_spans(pairs, frames)
    assert len(spans) == len(pairs)
    assert all(0 <= first <= last < frames for first, last in spans)


def test_labels_halve_with_every_frame_of_distance() -> None:
    labels = official_labels([(3, 5)], frames=8, base=2.0, rounded=True)
    assert labels.tolist() == [[0.125, 0.25, 0.5, 1, 1, 1, 0.5, 0.25]]


def test_labels_of_fractions_are_rounded_only_where_asked() -> None:
    rounded, exact = (official_labels([(1.5, 2.5)], 4, 2.0, rounded=rounded) for rounded in (True, False))
    assert rounded.tolist() == [[0.25, 0.5, 1, 0.5]]  # both ends round to 2
    torch.testing.assert_close(exact, 2.0 ** -torch.tensor([[1.5, 0.5, 0.0, 0.5]]))


def test_labels_neither_clamp_nor_swap() -> None:
    labels = official_labels([(2, 6), (3, 1), (-2, -1)], frames=4, base=2.0, rounded=True)
    assert labels.tolist() == [[0.25, 0.5, 1, 1], [0.5, 1, 0.5, 1], [0.5, 0.25, 0.125, 0.0625]]


def test_no_interval_no_label() -> None:
    assert official_labels([], frames=5, base=2.0, rounded=True).shape == (0, 5)
    assert official_spans([], frames=5) == []
