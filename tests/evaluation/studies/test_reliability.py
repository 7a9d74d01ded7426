"""ECE, calibrators, risk and coverage, against hand-computed and library values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from d2vlm_pipeline.evaluation.studies.abstention import area_under_risk, selective_risks
from d2vlm_pipeline.evaluation.studies.reliability import (
    FITS,
    calibration_error,
    equal_mass_bins,
    expected_error_by_chance,
)

SURE = st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.9])
SOME = st.lists(st.tuples(SURE, st.integers(0, 1)), min_size=1, max_size=60)


def test_ece_by_hand() -> None:
    confidence_R = np.array([0.9, 0.2, 0.6, 0.4])
    right_R = np.array([1.0, 0.0, 0.0, 1.0])
    # Two bins: (0.2, 0.4) with one of two right, (0.6, 0.9) with one of two right.
    found = equal_mass_bins(confidence_R, right_R, 2)
    assert found.confidence_B == pytest.approx([0.3, 0.75])
    assert found.outcome_B.tolist() == [0.5, 0.5] and found.count_B.tolist() == [2, 2]
    assert calibration_error(confidence_R, right_R, 2) == pytest.approx((0.2 + 0.25) / 2)


def test_bins_are_those_of_scikit_learn_where_confidences_differ() -> None:
    rng = np.random.default_rng(1)
    confidence_R = rng.permutation(np.linspace(0.01, 0.99, 150))
    right_R = (rng.random(150) < confidence_R).astype(float)
    share_B, mean_B = calibration_curve(right_R, confidence_R, n_bins=15, strategy="quantile")
    found = equal_mass_bins(confidence_R, right_R, 15)
    assert found.outcome_B == pytest.approx(share_B) and found.confidence_B == pytest.approx(mean_B)


@pytest.mark.parametrize("count", [1, 14, 15, 16, 31, 880])
def test_bins_have_equal_mass(count: int) -> None:
    found = equal_mass_bins(np.linspace(0, 1, count), np.zeros(count), 15)
    assert found.count_B.sum() == count and len(found.count_B) == min(15, count)
    assert found.count_B.max() - found.count_B.min() <= 1


@given(SOME, st.randoms())
def test_the_order_of_ties_does_not_matter(rows: list[tuple[float, int]], shuffler) -> None:
    values = np.array(rows, dtype=float)
    before = calibration_error(values[:, 0], values[:, 1], 5), area_under_risk(values[:, 0], values[:, 1])
    shuffler.shuffle(rows)
    values = np.array(rows, dtype=float)
    after = calibration_error(values[:, 0], values[:, 1], 5), area_under_risk(values[:, 0], values[:, 1])
    assert after == pytest.approx(before)


def test_calibrated_confidences_have_an_ece_near_zero_and_planted_ones_have_theirs() -> None:
    rng = np.random.default_rng(2)
    sure_R = rng.uniform(0.5, 1.0, 100_000)
    right_R = (rng.random(100_000) < sure_R).astype(float)
    assert calibration_error(sure_R, right_R, 15) < 0.01
    assert calibration_error(np.clip(sure_R + 0.15, 0, 1), right_R, 15) > 0.1
    assert calibration_error(sure_R / 2, right_R, 15) == pytest.approx(sure_R.mean() / 2, abs=0.01)


def test_what_chance_leaves_is_what_calibrated_samples_of_that_size_show() -> None:
    rng = np.random.default_rng(3)
    sure_R = rng.uniform(0.2, 1.0, 300)
    seen = [
        calibration_error(sure_R, (rng.random(300) < sure_R).astype(float), 15) for _ in range(200)
    ]
    assert expected_error_by_chance(sure_R, 15, 200, seed=0) == pytest.approx(np.mean(seen), rel=0.05)
    assert expected_error_by_chance(np.ones(50), 15, 10, seed=0) == 0.0


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_calibrator_mends_a_planted_overconfidence(kind: str) -> None:
    rng = np.random.default_rng(4)
    chance_R = rng.uniform(0.05, 0.95, 20_000)
    odds_R = chance_R / (1 - chance_R)
    sure_R = odds_R**3 / (1 + odds_R**3)  # log-odds thrice too large
    right_R = (rng.random(20_000) < chance_R).astype(float)
    fitted = FITS[kind](sure_R[:10_000], right_R[:10_000])
    assert calibration_error(sure_R[10_000:], right_R[10_000:], 15) > 0.1
    assert calibration_error(fitted(sure_R[10_000:]), right_R[10_000:], 15) < 0.02
    assert np.all(np.diff(fitted(np.linspace(0, 1, 50))) >= 0)


def test_platt_recovers_slope_and_offset() -> None:
    rng = np.random.default_rng(5)
    z_R = rng.normal(0, 2, 50_000)
    chance_R = 1 / (1 + np.exp(-(0.5 * z_R - 1.0)))
    right_R = (rng.random(50_000) < chance_R).astype(float)
    fitted = FITS["platt"](1 / (1 + np.exp(-z_R)), right_R)
    at = np.array([-3.0, 0.0, 2.0])
    assert fitted(1 / (1 + np.exp(-at))) == pytest.approx(1 / (1 + np.exp(-(0.5 * at - 1.0))), abs=0.02)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
@pytest.mark.parametrize("outcome", [[1.0], [0.0, 0.0], [1.0, 1.0, 1.0], [0.3, 0.8]])
def test_a_calibrator_of_little_data_gives_probabilities(kind: str, outcome: list[float]) -> None:
    fitted = FITS[kind](np.linspace(0.5, 1.0, len(outcome)), np.array(outcome))
    given_R = fitted(np.array([0.0, 0.2, 0.7, 1.0]))
    assert np.all((given_R >= 0) & (given_R <= 1))


def test_risks_by_hand() -> None:
    confidence_R, loss_R = np.array([0.2, 0.9, 0.5, 0.7]), np.array([1.0, 0.0, 0.0, 1.0])
    assert selective_risks(confidence_R, loss_R) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert area_under_risk(confidence_R, loss_R) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    tied_R = np.array([0.9, 0.5, 0.5, 0.1])
    assert selective_risks(tied_R, np.array([0, 1.0, 0, 1.0])) == pytest.approx([0, 1 / 4, 1 / 3, 1 / 2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_in_the_best_order_risk_rises_with_coverage_and_no_order_beats_it(losses: list[float]) -> None:
    loss_R = np.array(losses)
    best_R = selective_risks(-loss_R, loss_R)
    assert np.all(np.diff(best_R) >= -1e-12) and best_R[-1] == pytest.approx(loss_R.mean())
    other_R = selective_risks(np.arange(len(loss_R), dtype=float), loss_R)
    assert np.all(other_R >= best_R - 1e-12)
