"""Dense captioning as densevid_eval scores it, in plain loops: what our scoring is measured against.

Video by video and threshold by threshold: precision and recall of intervals, and CIDEr-D of the captions that
meet an event, with rarity taken from the video itself. Sentences come as tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

Words = list[str]
Video = list[tuple[list[float], Words]]
Vector = list[dict[tuple[str, ...], float]]
Meets = Callable[[list[float], list[float]], bool]

ORDERS = 4
SIGMA = 6.0


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """IoU, its union 1e-8 s longer than it is."""
    common = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    hull = max(one[1], other[1]) - min(one[0], other[0])
    return common / (min(hull, one[1] - one[0] + other[1] - other[0]) + 1e-8)


def found(
    told: dict[str, Video], sets: Sequence[dict[str, Video]], meets: Meets
) -> tuple[float, float, float]:
    """Mean precision and recall over videos, each of the best reference set, and their F1."""
    precisions, recalls = [], []
    for name in {name for one in sets for name in one}:
        if name not in told:
            continue
        best_precision = best_recall = 0.0
        for references in sets:
            if name not in references:
                continue
            good, covered = set(), set()
            for p, (said, _) in enumerate(told[name]):
                for g, (true, _) in enumerate(references[name]):
                    if meets(said, true):
                        good.add(p)
                        covered.add(g)
            best_precision = max(best_precision, len(good) / max(len(told[name]), 1))
            best_recall = max(best_recall, len(covered) / len(references[name]))
        precisions.append(best_precision)
        recalls.append(best_recall)
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def video_cider(told: dict[str, Video], sets: Sequence[dict[str, Video]], threshold: float) -> float:
    """Mean over videos of the CIDEr-D of their captions, each with every event it meets or with noise."""
    scores = []
    for name in {name for one in sets for name in one}:
        if name not in told:
            continue
        items: list[tuple[Words, Words]] = []
        for said, words in told[name]:
            met = [
                (words, true_words)
                for references in sets
                for true, true_words in references.get(name, [])
                if overlap(said, true) >= threshold
            ]
            items += met or [(words, [f"noise{len(items)}"])]
        scores.append(sum(cider(items)) / len(items) if items else 0.0)
    return sum(scores) / len(scores)


def cider(items: Sequence[tuple[Words, Words]]) -> list[float]:
    """CIDEr-D of captions with one reference each, rarity taken from these references."""
    said = [counted(caption) for caption, _ in items]
    true = [counted(reference) for _, reference in items]
    documents: Counter[tuple[str, ...]] = Counter()
    for counts in true:
        documents.update(set(counts))
    many = math.log(len(items))
    scores = []
    for one, other in zip(said, true, strict=True):
        (a, norms_a, length_a), (b, norms_b, length_b) = (
            weighed(counts, documents, many) for counts in (one, other)
        )
        penalty = math.exp(-((length_a - length_b) ** 2) / (2 * SIGMA**2))
        total = 0.0
        for order in range(ORDERS):
            product = 0.0
            for ngram, weight in a[order].items():
                product += min(weight, b[order].get(ngram, 0.0)) * b[order].get(ngram, 0.0)
            if norms_a[order] and norms_b[order]:
                product /= norms_a[order] * norms_b[order]
            total += product * penalty
        scores.append(10.0 * total / ORDERS)
    return scores


def counted(words: Words) -> Counter[tuple[str, ...]]:
    """How often each sequence of one to four words occurs."""
    counts: Counter[tuple[str, ...]] = Counter()
    for order in range(1, ORDERS + 1):
        for start in range(len(words) - order + 1):
            counts[tuple(words[start : start + order])] += 1
    return counts


def weighed(
    counts: Counter[tuple[str, ...]], documents: Counter[tuple[str, ...]], many: float
) -> tuple[Vector, list[float], int]:
    """Weights by length of sequence, their norms, and how many pairs of words there are."""
    vector: Vector = [{} for _ in range(ORDERS)]
    norms, pairs = [0.0] * ORDERS, 0
    for ngram, count in counts.items():
        order = len(ngram) - 1
        weight = count * (many - math.log(max(1.0, documents[ngram])))
        vector[order][ngram] = weight
        norms[order] += weight**2
        if order == 1:
            pairs += count
    return vector, [math.sqrt(norm) for norm in norms], pairs
