from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation.overlap import (
    as_array,
    first_iou,
    harmonic_mean,
    iou,
    merged,
    midpoint_hit,
    one_to_one,
    overlap_f1,
    precision_recall,
    reaches,
)
from d2vlm_pipeline.timeline import Interval

_SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda row: (row[0] / 2, (row[0] + row[1]) / 2)),
    max_size=5,
)


def spans(rows) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, 2)


@settings(deadline=None)
@given(_SPANS, _SPANS)
def test_iou_matrix_agrees_with_the_interval_record(a, b) -> None:
    expected = [
        [Interval(start_s=p[0], end_s=p[1]).iou(Interval(start_s=g[0], end_s=g[1])) for g in b] for p in a
    ]
    assert np.allclose(iou(spans(a), spans(b)), np.array(expected).reshape(len(a), len(b)), atol=1e-12)


def test_leading_axes_score_many_candidates_at_once() -> None:
    truth = spans([(2, 6), (8, 9)])
    candidates = np.array([[[2.0, 6.0]], [[0.0, 10.0]], [[8.0, 9.0]]])
    assert first_iou(candidates, truth).tolist() == [1.0, 0.4, 1.0]
    assert overlap_f1(candidates, truth).tolist() == pytest.approx([8 / 9, 10 / 15, 2 / 6])
    assert midpoint_hit(candidates, truth).tolist() == [1.0, 1.0, 1.0]
    precision, recall = precision_recall(candidates, truth, (0.3, 0.5))
    assert precision.tolist() == [[1, 1], [1, 0], [1, 1]]
    assert recall.tolist() == [[0.5, 0.5], [0.5, 0], [0.5, 0.5]]


def test_a_value_at_the_threshold_reaches_it_despite_rounding() -> None:
    share = iou(spans([(0.1, 0.4)]), spans([(0.1, 1.1)]))[0, 0]
    assert reaches(np.array(share), (0.3, 0.30001)).tolist() == [True, False]


def test_nothing_predicted_or_nothing_true_scores_nothing() -> None:
    none, some = spans([]), spans([(1, 2)])
    for pred, truth in ((none, some), (some, none), (none, none)):
        assert first_iou(pred, truth) == 0 and midpoint_hit(pred, truth) == 0 and overlap_f1(pred, truth) == 0
        precision, recall = precision_recall(pred, truth, (0.5,))
        assert precision == 0 and recall == 0


def test_covered_time_counts_once() -> None:
    assert merged(spans([(4, 6), (0, 2), (1, 3), (3, 3.5)])).tolist() == [[0, 3.5], [4, 6]]
    assert overlap_f1(spans([(0, 4), (2, 6)]), spans([(0, 6)])) == 1.0
    assert overlap_f1(spans([(0, 4)]), spans([(2, 6), (3, 8)])) == pytest.approx(2 * 2 / (4 + 6))


def test_midpoint_of_the_first_interval_decides() -> None:
    assert midpoint_hit(spans([(0, 4), (9, 10)]), spans([(2, 3)])) == 1
    assert midpoint_hit(spans([(0, 4)]), spans([(0, 2)])) == 0  # the end is outside
    assert midpoint_hit(spans([(9, 10), (2, 3)]), spans([(2, 3)])) == 0


def test_harmonic_mean_of_nothing_is_nothing() -> None:
    assert harmonic_mean(np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.5, 0.5])).tolist() == pytest.approx(
        [0, 2 / 3, 0.5]
    )


@settings(deadline=None)
@given(_SPANS, _SPANS, st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_assignment_is_the_best_one_to_one_matching(a, b, threshold) -> None:
    table = iou(spans(a), spans(b))
    matches = one_to_one(table, threshold)
    assert len({p for p, _ in matches}) == len({g for _, g in matches}) == len(matches)
    assert all(table[match] >= threshold - 1e-9 for match in matches)
    small, large = (table, len(b)) if len(a) <= len(b) else (table.T, len(a))
    best = (0, 0.0)
    for columns in permutations(range(large), len(small)):
        found = [small[r, c] for r, c in enumerate(columns) if small[r, c] >= threshold - 1e-9]
        best = max(best, (len(found), sum(found)))
    assert len(matches) == best[0]
    assert sum(table[match] for match in matches) == pytest.approx(best[1])


def test_interval_records_become_rows() -> None:
    assert as_array([Interval(start_s=1, end_s=2.5)]).tolist() == [[1, 2.5]]
    assert as_array(()).shape == (0, 2)
