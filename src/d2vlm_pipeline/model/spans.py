"""From similarities to an interval of frames."""

from __future__ import annotations

import numpy as np

from d2vlm_pipeline.model.config import SpanConfig


def select_spans(logits_QT: np.ndarray, frames_Q: np.ndarray, config: SpanConfig) -> np.ndarray:
    """First and last frame (inclusive) of the evidence that each row of logits points at, int [Q, 2].

    Of a row, only the first ``frames_Q`` entries are frames.
    """
    if config.method == "max_likelihood":
        return max_likelihood_spans(logits_QT, frames_Q)
    rows = zip(logits_QT, frames_Q, strict=True)
    return np.array([best_run_span(sigmoid(row[:frames]), config.threshold) for row, frames in rows])


def select_span(logits_T: np.ndarray, config: SpanConfig) -> tuple[int, int]:
    """As `select_spans`, of one row."""
    first, last = select_spans(logits_T[None], np.array([len(logits_T)]), config)[0]
    return int(first), int(last)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Numerically stable logistic function, float32 in and out."""
    return np.where(
        logits >= 0,
        1.0 / (1.0 + np.exp(-np.abs(logits))),
        np.exp(-np.abs(logits)) / (1.0 + np.exp(-np.abs(logits))),
    )


def max_likelihood_spans(logits_QT: np.ndarray, frames_Q: np.ndarray) -> np.ndarray:
    """Of each row the run [a, b] that maximises Π_in σ(z)·Π_out (1 − σ(z)), int [Q, 2].

    The logarithm is a constant plus Σ_{a..b} z, so this is the maximum-sum non-empty run; of equal sums the
    one that ends first wins, and of those the longest.
    """
    place = np.arange(logits_QT.shape[1] + 1)
    total = np.zeros((len(logits_QT), len(place)))
    np.cumsum(logits_QT, axis=1, dtype=np.float64, out=total[:, 1:])
    gain = total[:, 1:] - np.minimum.accumulate(total[:, :-1], axis=1)
    last = np.where(place[:-1] < frames_Q[:, None], gain, -np.inf).argmax(axis=1)
    first = np.where(place <= last[:, None], total, np.inf).argmin(axis=1)
    return np.stack([first, last], axis=1)


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


def interval_confidences(logits_QT: np.ndarray, frames_Q: np.ndarray, spans_Q2: np.ndarray) -> np.ndarray:
    """Geometric mean per frame of p_g([first, last]): 1 where every frame agrees, 0.5 at chance, [Q]."""
    frame = np.arange(logits_QT.shape[1])
    inside = (frame >= spans_Q2[:, :1]) & (frame <= spans_Q2[:, 1:])
    against = np.where(inside, -1.0, 1.0) * np.asarray(logits_QT, dtype=np.float64)
    log_p = np.where(frame < frames_Q[:, None], -np.logaddexp(0.0, against), 0.0)
    return np.exp(log_p.sum(axis=1) / frames_Q)


def interval_confidence(logits_T: np.ndarray, first: int, last: int) -> float:
    """As `interval_confidences`, of one row."""
    return float(
        interval_confidences(logits_T[None], np.array([len(logits_T)]), np.array([[first, last]]))[0]
    )
