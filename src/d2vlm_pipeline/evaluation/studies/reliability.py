"""Whether confidences mean what they say: equal-mass bins, expected calibration error, calibrators.

Bins hold equal numbers of values in the order of confidence (Nguyen and O'Connor, EMNLP 2015): bins of equal
width would leave most empty where a model is mostly sure. Values of equal confidence share their mean
outcome, so that no figure depends on the order in which ties stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.evaluation.overlap import Floats

Calibrator = Callable[[Floats], Floats]
"""Confidences [R] to probabilities [R]."""

# Confidences of exactly 0 or 1 have no log-odds.
_LEAST = 1e-6
# Practically no shrinkage: two numbers are fitted to hundreds of values.
_WEAK = 1e6


class Bins(NamedTuple):
    """Mean confidence, mean outcome and number of values of each bin, by rising confidence, [B]."""

    confidence_B: Floats
    outcome_B: Floats
    count_B: Floats


def equal_mass_bins(confidence_R: Floats, outcome_R: Floats, bins: int) -> Bins:
    """Values in the order of confidence, in `bins` groups whose sizes differ by at most one; fewer if few."""
    order = np.argsort(confidence_R, kind="stable")
    confidence_R, outcome_R = confidence_R[order], _shared(confidence_R[order], outcome_R[order])
    edges = np.linspace(0, len(order), min(bins, len(order)) + 1).astype(np.intp)
    count_B = np.diff(edges).astype(np.float64)
    sure_B, right_B = (np.add.reduceat(values, edges[:-1]) for values in (confidence_R, outcome_R))
    return Bins(sure_B / count_B, right_B / count_B, count_B)


def calibration_error(confidence_R: Floats, outcome_R: Floats, bins: int) -> float:
    """ECE: mean over values of how far their bin's mean outcome is from its mean confidence."""
    found = equal_mass_bins(confidence_R, outcome_R, bins)
    gap_B = np.abs(found.confidence_B - found.outcome_B)
    return float((gap_B * found.count_B).sum() / found.count_B.sum())


def expected_error_by_chance(confidence_R: Floats, bins: int, draws: int, seed: int) -> float:
    """Mean ECE of outcomes that are drawn with exactly the probabilities given: what is left by chance."""
    rng = np.random.default_rng(seed)
    drawn = (rng.random(len(confidence_R)) < confidence_R for _ in range(draws))
    errors = [calibration_error(confidence_R, hits.astype(np.float64), bins) for hits in drawn]
    return float(np.mean(errors))


def fit_platt(confidence_R: Floats, outcome_R: Floats) -> Calibrator:
    """A logistic function of the log-odds of confidence (Platt 1999), with his pull of outcomes off 0 and 1.

    Outcomes are anything in [0, 1]; the pull lets a few values, or values of one outcome, be fitted too.
    """
    from sklearn.linear_model import LogisticRegression

    positive = float(outcome_R.sum())
    high, low = (positive + 1.0) / (positive + 2.0), 1.0 / (len(outcome_R) - positive + 2.0)
    target_R = outcome_R * high + (1.0 - outcome_R) * low
    # Each value stands once for yes and once for no, by the weight of either.
    fitted = LogisticRegression(C=_WEAK).fit(
        np.tile(_log_odds(confidence_R), (2, 1)),
        np.repeat([1, 0], len(confidence_R)),
        np.concatenate([target_R, 1.0 - target_R]),
    )
    return lambda confidence: np.asarray(fitted.predict_proba(_log_odds(confidence))[:, 1], dtype=np.float64)


def fit_isotonic(confidence_R: Floats, outcome_R: Floats) -> Calibrator:
    """The rising step function of least squares (Zadrozny and Elkan, KDD 2002), flat beyond what it saw."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(confidence_R, outcome_R)
    return lambda confidence: np.asarray(fitted.predict(confidence), dtype=np.float64)


FITS: dict[str, Callable[[Floats, Floats], Calibrator]] = {"platt": fit_platt, "isotonic": fit_isotonic}


def _log_odds(confidence_R: Floats) -> Floats:
    inside = np.clip(confidence_R, _LEAST, 1.0 - _LEAST)
    return np.log(inside / (1.0 - inside))[:, None]


def _shared(sorted_R: Floats, outcome_R: Floats) -> Floats:
    """Outcomes, those of equal confidence replaced by their mean."""
    _, group_R, count_G = np.unique(sorted_R, return_inverse=True, return_counts=True)
    mean_G = np.bincount(group_R, weights=outcome_R) / count_G
    return np.asarray(mean_G[group_R])
