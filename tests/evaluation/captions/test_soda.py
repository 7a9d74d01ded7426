"""SODA: the matching, against every matching there is, and what its variants say of known stories."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation.captions.soda import (
    heaviest_in_order,
    matched_as_published,
    matched_in_order,
    soda_a,
    soda_c,
    soda_d,
)
from d2vlm_pipeline.evaluation.overlap import Floats

# Few distinct weights, so that ties and zeros are common.
WEIGHT = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0.0, 1.0)
MATRICES = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: st.lists(WEIGHT, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda cells: np.array(cells).reshape(shape)
    )
)


def every_matching(weight_PG: Floats) -> float:
    """The heaviest of all matchings that keep the order of both sides, by trying them."""
    said, true = (range(size) for size in weight_PG.shape)
    return max(
        sum(float(weight_PG[pair]) for pair in zip(rows, columns, strict=True))
        for count in range(min(weight_PG.shape) + 1)
        for rows in combinations(said, count)
        for columns in combinations(true, count)
    )


@given(st.lists(MATRICES, min_size=1, max_size=4))
def test_the_heaviest_matching_is_the_best_of_all_that_keep_the_order(weights: list[Floats]) -> None:
    expected = [every_matching(weight_PG) for weight_PG in weights]
    assert heaviest_in_order(weights) == pytest.approx(expected, abs=1e-12)


@given(MATRICES)
def test_matched_pairs_keep_the_order_and_weigh_as_much_as_the_heaviest_matching(weight_PG: Floats) -> None:
    pairs = matched_in_order(weight_PG)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert all(weight_PG[pair] > 0 for pair in pairs)
    found = sum(float(weight_PG[pair]) for pair in pairs)
    assert found == pytest.approx(every_matching(weight_PG), abs=1e-12)


@given(MATRICES)
def test_published_pairs_keep_the_order_too(weight_PG: Floats) -> None:
    pairs = matched_as_published(weight_PG)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert len(pairs) >= min(1, weight_PG.size)


@given(st.integers(1, 6))
def test_a_perfect_story_is_worth_one(events: int) -> None:
    iou_PG = score_PG = np.eye(events)
    for shares in (
        soda_c([iou_PG], [score_PG]),
        soda_d([iou_PG]),
        soda_a([iou_PG], [score_PG], (0.3, 0.9), matched_in_order),
    ):
        assert shares == pytest.approx(np.ones((1, 3)))


def test_a_caption_too_many_costs_precision_alone() -> None:
    iou_PG = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    (shares,) = soda_d([iou_PG])
    assert shares == pytest.approx([2 / 3, 1.0, 0.8])


def test_what_is_told_in_the_wrong_order_counts_once() -> None:
    (shares,) = soda_d([np.array([[0.0, 1.0], [1.0, 0.0]])])
    assert shares == pytest.approx([0.5, 0.5, 0.5])


def test_the_caption_decides_between_matchings_in_c_and_not_in_a() -> None:
    iou_PG, score_PG = np.array([[0.9, 0.6]]), np.array([[0.1, 0.5]])
    assert soda_c([iou_PG], [score_PG])[0, 0] == pytest.approx(0.3)
    assert soda_a([iou_PG], [score_PG], (0.5,), matched_in_order)[0, 0] == pytest.approx(0.1)


def test_variant_a_counts_no_pair_below_its_threshold_but_the_published_figures_count_one() -> None:
    iou_PG, score_PG = np.array([[0.2]]), np.array([[0.8]])
    assert soda_a([iou_PG], [score_PG], (0.3,), matched_in_order)[0, 0] == 0.0
    assert soda_a([iou_PG], [score_PG], (0.3,), matched_as_published)[0, 0] == pytest.approx(0.8)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_said_or_nothing_to_say_is_worth_nothing(shape: tuple[int, int]) -> None:
    assert soda_d([np.zeros(shape)]).tolist() == [[0.0, 0.0, 0.0]]
    assert soda_a([np.zeros(shape)], [np.zeros(shape)], (0.3,), matched_as_published).tolist() == [[0, 0, 0]]


def test_videos_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.random((int(p), int(g))) for p, g in rng.integers(0, 40, size=(60, 2))]
    together = heaviest_in_order(weights)
    assert together.tolist() == [float(heaviest_in_order([weight_PG])[0]) for weight_PG in weights]
