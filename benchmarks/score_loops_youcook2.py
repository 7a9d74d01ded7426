"""The published procedure of YouCook2 in plain loops, without METEOR: what ours is measured against.

One video, threshold, prediction and event at a time, as docs/evaluation.md describes it.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.score_loops_dense import cider

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
Span = Sequence[float]


@dataclass(frozen=True)
class Told:
    """A video: true and predicted intervals, each with its tokenised caption."""

    truth: Sequence[tuple[Span, str]]
    said: Sequence[tuple[Span, str]]


def scored(videos: Sequence[Told]) -> dict[str, float]:
    """Means over videos, in percent."""
    random.seed(0)
    compared = [matches(video) for video in videos]
    rows = []
    for video, pairs in zip(videos, compared, strict=True):
        row = detection(video)
        row["CIDER"] = sum(mean_cider(pairs[threshold]) for threshold in THRESHOLDS) / len(THRESHOLDS)
        rows.append(row)
    return {name: 100 * sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def overlap(one: Span, other: Span) -> float:
    """IoU; ends may stand in either order."""
    start_1, end_1, start_2, end_2 = min(one), max(one), min(other), max(other)
    common = max(0.0, min(end_1, end_2) - max(start_1, start_2))
    union = min(max(end_1, end_2) - min(start_1, start_2), end_1 - start_1 + end_2 - start_2)
    return common / (union + 1e-8)


def detection(video: Told) -> dict[str, float]:
    """Precision and recall by threshold, and the F1 of their means."""
    row = {}
    for threshold in THRESHOLDS:
        met_said, met_true = set(), set()
        for p, (said, _) in enumerate(video.said):
            for g, (true, _) in enumerate(video.truth):
                if overlap(said, true) > threshold:
                    met_said.add(p)
                    met_true.add(g)
        row[f"Precision@{threshold}"] = len(met_said) / max(len(video.said), 1)
        row[f"Recall@{threshold}"] = len(met_true) / len(video.truth)
    precision = sum(row[f"Precision@{threshold}"] for threshold in THRESHOLDS) / len(THRESHOLDS)
    recall = sum(row[f"Recall@{threshold}"] for threshold in THRESHOLDS) / len(THRESHOLDS)
    row["F1_Score"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return row


def matches(video: Told) -> dict[float, list[tuple[str, str]]]:
    """By threshold, predicted captions beside those of the events they meet, or beside a random string."""
    pairs: dict[float, list[tuple[str, str]]] = {threshold: [] for threshold in THRESHOLDS}
    for said, caption in video.said:
        met = set()
        for true, reference in video.truth:
            for threshold in THRESHOLDS:
                if overlap(said, true) >= threshold:
                    pairs[threshold].append((reference, caption))
                    met.add(threshold)
        for threshold in THRESHOLDS:
            if threshold not in met:
                letters = (random.choice(string.ascii_lowercase) for _ in range(random.randint(10, 20)))
                pairs[threshold].append(("".join(letters), caption))
    return pairs


def mean_cider(pairs: Sequence[tuple[str, str]]) -> float:
    """CIDEr-D of one video at one threshold."""
    if not pairs:
        return 0.0
    scores = cider([(caption.split(), reference.split()) for reference, caption in pairs])
    return sum(scores) / len(scores)
