"""What can be learned from the training answers without looking at any video."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.grounding import Rule
from d2vlm_pipeline.evaluation.overlap import Floats, as_array
from d2vlm_pipeline.timeline import Sample

Spans = list[tuple[float, float]]
Durations = Mapping[str, float]
"""Video to its length in seconds."""

_GRID = 20  # steps of the relative grid; the absolute one has twice as many over the longest clip
_MAX_TILES = 20


def duration_of(sample: Sample, durations: Durations) -> float:
    """Length of a sample's clip in seconds.

    Raises:
        UserError: the table has no such video.
    """
    duration_s = durations.get(sample.video)
    if duration_s is None:
        raise UserError(f"sample {sample.id}: no duration for {sample.video}; ingest the video first")
    return duration_s


@dataclass(frozen=True)
class ConstantInterval:
    """One interval for every clip: in shares of the clip, or in seconds moved to fit into it."""

    start: float
    end: float
    is_relative: bool

    def spans(self, duration_s: float) -> Spans:
        """The interval on a clip of this length."""
        placed = _place(np.array([[self.start, self.end]]), self.is_relative, duration_s)
        return [(float(placed[0, 0]), float(placed[0, 1]))]


def best_constant(
    samples: Sequence[Sample], durations: Durations, rule: Rule, thresholds: Sequence[float]
) -> ConstantInterval:
    """The constant interval that scores highest on `samples` under `rule`; the earliest among equals."""
    longest_s = max(duration_of(sample, durations) for sample in samples)
    grids = [(_grid(_GRID) / _GRID, True), (_grid(2 * _GRID) * (longest_s / (2 * _GRID)), False)]
    candidates = [
        ConstantInterval(float(start), float(end), is_relative)
        for grid_C2, is_relative in grids
        for start, end in grid_C2
    ]

    def place(duration_s: float) -> Floats:
        placed = [_place(grid_C2, is_relative, duration_s) for grid_C2, is_relative in grids]
        return np.concatenate(placed)[:, None, :]

    return candidates[int(np.argmax(_scores(samples, durations, rule, thresholds, place)))]


def best_tiling(
    samples: Sequence[Sample], durations: Durations, rule: Rule, thresholds: Sequence[float]
) -> int:
    """The number of equal segments that scores highest on `samples`; the smallest among equals."""
    scores = [
        _scores(samples, durations, rule, thresholds, partial(_tiles_P2, count)).item()
        for count in range(1, _MAX_TILES + 1)
    ]
    return 1 + int(np.argmax(scores))


def tiles(count: int, duration_s: float) -> Spans:
    """A clip cut into `count` equal segments."""
    edges = [duration_s * k / count for k in range(count + 1)]
    return list(itertools.pairwise(edges))


def most_frequent(texts: Sequence[str]) -> str:
    """The commonest text, the first in the alphabet among equals; empty without texts."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text), default="")


def _tiles_P2(count: int, duration_s: float) -> Floats:
    return np.array(tiles(count, duration_s))


@dataclass(frozen=True)
class ChoicePrior:
    """The option to take without seeing the video: a constant letter, or the answer heard most often.

    Attributes:
        letters: how often each option index was right. answers: (first words of the question, answer) to
        how often it was right; ("", answer) over all questions. by_letter: which of the two did better on
        training samples, each left out of its own counts.
    """

    letters: Counter[int]
    answers: Counter[tuple[str, str]]
    by_letter: bool

    def choose(self, sample: Sample) -> int:
        """Index of the option to take; 0 where nothing favours any."""
        return _choose(sample, self.letters, self.answers, self.by_letter)


def fit_choice(samples: Sequence[Sample]) -> ChoicePrior:
    """Learn the prior from training samples that have options."""
    letters: Counter[int] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        letters[_right(sample)] += 1
        answers.update(_answer_keys(sample))
    hits = {True: 0, False: 0}
    for sample in samples:
        _count_out(sample, letters, answers, -1)
        for by_letter in hits:
            hits[by_letter] += _choose(sample, letters, answers, by_letter) == _right(sample)
        _count_out(sample, letters, answers, +1)
    return ChoicePrior(letters, answers, by_letter=hits[True] >= hits[False])


def _choose(sample: Sample, letters: Counter[int], answers: Counter[tuple[str, str]], by_letter: bool) -> int:
    options = sample.options or ()
    if by_letter:
        return max(range(len(options)), key=lambda index: (letters[index], -index))
    kind = _question_kind(sample.question)
    return max(
        range(len(options)),
        key=lambda index: (answers[kind, options[index]], answers["", options[index]], -index),
    )


def _count_out(sample: Sample, letters: Counter[int], answers: Counter[tuple[str, str]], change: int) -> None:
    letters[_right(sample)] += change
    for key in _answer_keys(sample):
        answers[key] += change


def _answer_keys(sample: Sample) -> list[tuple[str, str]]:
    answer = (sample.options or ())[_right(sample)]
    return [(_question_kind(sample.question), answer), ("", answer)]


def _right(sample: Sample) -> int:
    if sample.answer_index is None:
        raise ValueError(f"sample {sample.id} has no options to learn from")
    return sample.answer_index


def _question_kind(question: str) -> str:
    """The first two words: `what colour`, `how many`."""
    return " ".join(question.lower().split()[:2]).rstrip(",:?")


def _scores(
    samples: Sequence[Sample],
    durations: Durations,
    rule: Rule,
    thresholds: Sequence[float],
    place: Callable[[float], Floats],
) -> Floats:
    """Score of what `place(duration_s)` [..., P, 2] predicts, over the samples whose event occurs."""
    sums: Floats | None = None
    for sample in samples:
        if sample.events:
            pred = place(duration_of(sample, durations))
            stats = rule.stats(pred, as_array(sample.intervals), thresholds)
            row = np.concatenate([stats, np.ones((*stats.shape[:-1], 1))], axis=-1)
            sums = row if sums is None else sums + row
    return np.zeros(1) if sums is None else rule.combine(sums)


def _grid(steps: int) -> Floats:
    """All (start, end) with 0 <= start < end <= steps, [C, 2]."""
    return np.array([(a, b) for a in range(steps) for b in range(a + 1, steps + 1)], dtype=np.float64)


def _place(grid_C2: Floats, is_relative: bool, duration_s: float) -> Floats:
    if is_relative:
        return grid_C2 * duration_s
    length_s = np.minimum(grid_C2[:, 1] - grid_C2[:, 0], duration_s)
    start_s = np.minimum(grid_C2[:, 0], duration_s - length_s)
    return np.stack([start_s, start_s + length_s], axis=1)
