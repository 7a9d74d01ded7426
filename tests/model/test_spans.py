"""From similarities to intervals: the fast rules against plain enumeration, and what confidence means."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.model.config import SpanConfig
from d2vlm_pipeline.model.spans import (
    best_run_span,
    interval_confidence,
    interval_confidences,
    max_likelihood_spans,
    select_span,
    select_spans,
    sigmoid,
)

logits_of_a_clip = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=14).map(
    lambda values: np.array(values, dtype=np.float32)
)
# Few distinct values: runs tie, and thresholds are met exactly.
coarse_logits = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=1, max_size=14).map(
    lambda values: np.array(values, dtype=np.float32)
)


def log_p_g(logits_T: np.ndarray, first: int, last: int) -> float:
    """log of Π_in σ(z) · Π_out (1 − σ(z)), frame by frame."""
    inside = range(first, last + 1)
    return -sum(math.log1p(math.exp(-z if t in inside else z)) for t, z in enumerate(logits_T.tolist()))


def max_likelihood_span(logits_T: np.ndarray) -> tuple[int, int]:
    first, last = max_likelihood_spans(logits_T[None], np.array([len(logits_T)]))[0]
    return int(first), int(last)


@given(rows=st.lists(logits_of_a_clip | coarse_logits, min_size=1, max_size=5))
@pytest.mark.parametrize("method", ["max_likelihood", "best_run"])
def test_rows_of_any_length_are_searched_as_if_alone(method: str, rows: list[np.ndarray]) -> None:
    config = SpanConfig(method=method)
    frames = np.array([len(row) for row in rows])
    padded = np.full((len(rows), frames.max()), 50.0, dtype=np.float32)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    found = select_spans(padded, frames, config)
    assert [tuple(span) for span in found.tolist()] == [select_span(row, config) for row in rows]
    sure = [interval_confidence(row, *span) for row, span in zip(rows, found.tolist(), strict=True)]
    np.testing.assert_allclose(interval_confidences(padded, frames, found), sure, rtol=1e-12)


def intervals(frames: int) -> list[tuple[int, int]]:
    return [(first, last) for first in range(frames) for last in range(first, frames)]


@given(logits_T=logits_of_a_clip | coarse_logits)
def test_no_interval_is_likelier_than_the_one_found(logits_T: np.ndarray) -> None:
    found = max_likelihood_span(logits_T)
    best = max(log_p_g(logits_T, *interval) for interval in intervals(len(logits_T)))
    assert log_p_g(logits_T, *found) == pytest.approx(best, abs=1e-5)


@given(logits_T=coarse_logits)
def test_of_equally_likely_intervals_the_one_that_ends_first_and_of_those_the_one_that_starts_first(
    logits_T: np.ndarray,
) -> None:
    sums = {(a, b): float(logits_T[a : b + 1].sum()) for a, b in intervals(len(logits_T))}
    equal = [interval for interval, total in sums.items() if total == max(sums.values())]
    first, last = max_likelihood_span(logits_T)
    assert last == min(b for _, b in equal)
    assert first == min(a for a, b in equal if b == last)


def test_evidence_is_never_empty() -> None:
    assert max_likelihood_span(np.array([-3.0, -1.0, -2.0])) == (1, 1)
    assert max_likelihood_span(np.array([-4.0])) == (0, 0)


def test_a_long_plateau_outweighs_a_spike_where_the_official_rule_takes_the_spike() -> None:
    scores = np.array([0.1, 0.9, 0.1, 0.1, 0.7, 0.8, 0.8, 0.7, 0.1])
    logits = np.log(scores / (1 - scores))
    assert select_span(logits, SpanConfig()) == (4, 7)
    assert select_span(logits, SpanConfig(method="best_run")) == (1, 1)


@pytest.mark.parametrize(
    ("scores", "span"),
    [
        ([0.1, 0.9, 0.1, 0.1, 0.7, 0.8, 0.8, 0.7, 0.1], (1, 1)),
        ([0.9, 0.1, 0.1, 0.9], (0, 3)),
        ([0.02, 0.02, 0.02, 0.01], (0, 2)),
        ([0.0, 0.0, 0.0], (0, 2)),
        ([0.3], (0, 0)),
    ],
)
def test_quirks_of_the_official_rule(scores: list[float], span: tuple[int, int]) -> None:
    assert best_run_span(np.array(scores), 0.6) == span


@given(logits_T=logits_of_a_clip, threshold=st.floats(0.1, 1.0))
def test_the_official_rule_by_enumeration(logits_T: np.ndarray, threshold: float) -> None:
    scores = sigmoid(logits_T).astype(np.float32)
    kept = scores >= np.float32(threshold) * scores.max()
    runs = [
        (a, b)
        for a, b in intervals(len(scores))
        if kept[a : b + 1].all() and not kept[a - 1 : a].any() and not kept[b + 1 : b + 2].any()
    ]
    means = {run: float(scores[run[0] : run[1] + 1].mean(dtype=np.float32)) for run in runs}
    best = [run for run in runs if means[run] == max(means.values())]
    found = select_span(logits_T, SpanConfig(method="best_run", threshold=threshold))
    assert found == (best[0][0], best[-1][1])


@given(logits_T=logits_of_a_clip, data=st.data())
def test_confidence_is_the_mean_likelihood_per_frame(logits_T: np.ndarray, data: st.DataObject) -> None:
    first, last = data.draw(st.sampled_from(intervals(len(logits_T))))
    sure = interval_confidence(logits_T, first, last)
    assert 0.0 <= sure <= 1.0
    assert sure == pytest.approx(math.exp(log_p_g(logits_T, first, last) / len(logits_T)), rel=1e-5)


@given(logits_T=logits_of_a_clip, data=st.data())
def test_the_likeliest_interval_is_the_surest(logits_T: np.ndarray, data: st.DataObject) -> None:
    found = interval_confidence(logits_T, *max_likelihood_span(logits_T))
    other = data.draw(st.sampled_from(intervals(len(logits_T))))
    assert found >= interval_confidence(logits_T, *other) - 1e-6


def test_confidence_at_its_ends_and_at_chance() -> None:
    assert interval_confidence(np.zeros(6), 1, 3) == pytest.approx(0.5)
    agreeing = np.array([-90.0, 90.0, 90.0, -90.0])
    assert interval_confidence(agreeing, 1, 2) == pytest.approx(1.0)
    assert interval_confidence(-agreeing, 1, 2) == pytest.approx(0.0)
    assert interval_confidence(np.array([-1000.0, 1000.0]), 0, 0) == 0.0


def test_confidence_leaves_the_logits_alone() -> None:
    logits = np.array([1.0, -2.0, 3.0])
    interval_confidence(logits, 0, 1)
    assert logits.tolist() == [1.0, -2.0, 3.0]


@given(logit=st.floats(-1e4, 1e4, width=32))
def test_the_logistic_function_neither_overflows_nor_leaves_its_range(logit: float) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        low, high = sigmoid(np.array([logit, -logit], dtype=np.float32))
    assert 0.0 <= low <= 1.0
    assert low + high == pytest.approx(1.0)
