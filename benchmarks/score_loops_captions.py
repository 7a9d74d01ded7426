"""CIDEr-D in plain loops, item by item and sequence by sequence: what ours is measured against."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Words = tuple[str, ...]
Vector = list[dict[Words, float]]
"""Weights of the word sequences of a text, by their length less one."""

ORDERS = 4
SIGMA = 6.0


def cider(references: Sequence[Sequence[str]], candidates: Sequence[str]) -> list[float]:
    """CIDEr-D of each item; documents are the items' references (Vedantam et al. 2015, eq. 3, 4, 7)."""
    frequency: Counter[Words] = Counter()
    for texts in references:
        frequency.update({words for text in texts for words in sequences(text)})
    scores = []
    for texts, candidate in zip(references, candidates, strict=True):
        said = weighed(candidate, frequency, len(references))
        total = sum(
            likeness(said, weighed(text, frequency, len(references))) * penalty(candidate, text)
            for text in texts
        )
        scores.append(10.0 * total / len(texts))
    return scores


def sequences(text: str) -> Counter[Words]:
    """How often each sequence of one to four words occurs."""
    words = text.split()
    found: Counter[Words] = Counter()
    for length in range(1, ORDERS + 1):
        for start in range(len(words) - length + 1):
            found[tuple(words[start : start + length])] += 1
    return found


def weighed(text: str, frequency: Counter[Words], documents: int) -> Vector:
    """Counts times how rare each sequence is."""
    vector: Vector = [{} for _ in range(ORDERS)]
    for words, count in sequences(text).items():
        rarity = math.log(documents) - math.log(max(1, frequency[words]))
        vector[len(words) - 1][words] = count * rarity
    return vector


def likeness(said: Vector, true: Vector) -> float:
    """Mean over lengths of the clipped cosine."""
    cosines = []
    for ours, theirs in zip(said, true, strict=True):
        dot = sum(min(ours[words], theirs[words]) * theirs[words] for words in ours if words in theirs)
        norm = math.sqrt(sum(w * w for w in ours.values())) * math.sqrt(sum(w * w for w in theirs.values()))
        cosines.append(dot / norm if norm > 0 else 0.0)
    return sum(cosines) / ORDERS


def penalty(candidate: str, reference: str) -> float:
    """For lengths that differ, counted in pairs of words."""
    pairs = [max(len(text.split()) - 1, 0) for text in (candidate, reference)]
    return math.exp(-((pairs[0] - pairs[1]) ** 2) / (2 * SIGMA**2))
