"""From similarities to an interval of frames."""

from __future__ import annotations

import numpy as np

from d2vlm_pipeline.model.config import SpanConfig


def select_span(logits_T: np.ndarray, config: SpanConfig) -> tuple[int, int]:
    """First and last frame (inclusive) of the evidence that the similarity logits point at."""
    if config.method == "max_likelihood":
        return max_likelihood_span(logits_T)
    return best_run_span(sigmoid(logits_T), config.threshold)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Numerically stable logistic function, float32 in and out."""
    return np.where(
        logits >= 0,
        1.0 / (1.0 + np.exp(-np.abs(logits))),
        np.exp(-np.abs(logits)) / (1.0 + np.exp(-np.abs(logits))),
    )


def max_likelihood_span(logits_T: np.ndarray) -> tuple[int, int]:
    """The run [a, b] that maximises Π_in σ(z)·Π_out (1 − σ(z)).

    The logarithm is a constant plus Σ_{a..b} z, so this is the maximum-sum non-empty run; of equal sums the
    one that ends first wins, and of those the longest.
    """
    total = np.concatenate([[0.0], np.cumsum(logits_T, dtype=np.float64)])
    lowest_before = np.minimum.accumulate(total[:-1])
    last = int(np.argmax(total[1:] - lowest_before))
    first = int(np.argmin(total[: last + 1]))
    return first, last


def best_run_span(scores_T: np.ndarray, threshold: float) -> tuple[int, int]:
    """The official rule (method.md §6.2): of the runs with score ≥ threshold·max, that with the highest mean.

    Its quirks are kept: several runs with exactly the same mean give their hull, all zeros the whole clip.
    """
    scores = np.asarray(scores_T, dtype=np.float32)
    kept = scores >= np.float32(threshold) * scores.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    starts, stops = edges[::2], edges[1::2]
    means = np.array([scores[a:b].mean(dtype=np.float32) for a, b in zip(starts, stops, strict=True)])
    best = np.flatnonzero(means == means.max())
    return int(starts[best[0]]), int(stops[best[-1]] - 1)


def interval_confidence(logits_T: np.ndarray, first: int, last: int) -> float:
    """Geometric mean per frame of p_g([first, last]): 1 when every frame agrees with it, 0.5 at chance."""
    signed = -np.asarray(logits_T, dtype=np.float64)
    signed[first : last + 1] *= -1.0
    return float(np.exp(-np.logaddexp(0.0, -signed).mean()))
