"""Systems that never look at a frame: what a score must beat before it means anything.

Each is fitted on training samples and answers with ordinary Prediction records, scored on the same path as a
model. None of them ever says that an event is absent.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.answers import Guess, guess_prediction
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.metrics import INTERVAL_RULES
from d2vlm_pipeline.evaluation.pairs import plain_caption
from d2vlm_pipeline.evaluation.priors import (
    Durations,
    Spans,
    best_constant,
    best_tiling,
    duration_of,
    fit_choice,
    most_frequent,
    tiles,
)
from d2vlm_pipeline.timeline import Prediction, Sample

Guesser = Callable[[Sample, float], Guess]
"""From a sample and its clip's length in seconds to a guess; must not read the sample's truth."""

TILING_TASKS = ("tal", "evs", "dvc", "slc", "tvc")


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline: which tasks it answers, and how."""

    name: str
    guessers: Mapping[str, Guesser]
    seed: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """Task codes that it answers."""
        return tuple(sorted(self.guessers))

    def predict(self, samples: Iterable[Sample], durations: Durations) -> list[Prediction]:
        """Answer every sample of its tasks, in the order given.

        Raises:
            UserError: a clip's length is not known.
        """
        return [
            guess_prediction(
                sample,
                self.guessers[sample.task](sample, duration_of(sample, durations)),
                self.name,
                self.seed,
            )
            for sample in samples
            if sample.task in self.guessers
        ]


Fit = Callable[[Sequence[Sample], Durations, EvaluationConfig], Baseline]


def fit_chance(train: Sequence[Sample], durations: Durations, config: EvaluationConfig) -> Baseline:
    """`chance`: a random option; as many random intervals, with captions, as some training sample has."""
    return Baseline(
        "chance",
        {task: _chance(task, samples, config.seed) for task, samples in _by_task(train, config).items()},
        config.seed,
    )


def fit_prior(train: Sequence[Sample], durations: Durations, config: EvaluationConfig) -> Baseline:
    """`prior`: the constant interval with the best training F1, likeliest option, commonest caption."""
    guessers: dict[str, Guesser] = {}
    for task, samples in _by_task(train, config).items():
        guess_spans: Callable[[float], Spans] = _nowhere
        if task in INTERVAL_RULES:
            rule = INTERVAL_RULES[task]
            guess_spans = best_constant(samples, durations, rule, config.thresholds).spans
        guessers[task] = _constant(samples, guess_spans)
    return Baseline("prior", guessers, config.seed)


def fit_tiling(train: Sequence[Sample], durations: Durations, config: EvaluationConfig) -> Baseline:
    """`tiling`: the best number of equal segments on training, with the commonest caption."""
    guessers: dict[str, Guesser] = {}
    for task, samples in _by_task(train, config).items():
        if task in TILING_TASKS:
            count = best_tiling(samples, durations, INTERVAL_RULES[task], config.thresholds)
            guessers[task] = _constant(samples, _tiler(count))
    return Baseline("tiling", guessers, config.seed)


def fit_whole_video(train: Sequence[Sample], durations: Durations, config: EvaluationConfig) -> Baseline:
    """`whole_video`: one interval, the clip; option and caption as `prior`."""
    guessers = {
        task: _constant(samples, _tiler(1))
        for task, samples in _by_task(train, config).items()
        if task in INTERVAL_RULES
    }
    return Baseline("whole_video", guessers, config.seed)


BASELINES: dict[str, Fit] = {
    "chance": fit_chance,
    "prior": fit_prior,
    "tiling": fit_tiling,
    "whole_video": fit_whole_video,
}
"""System name to how it is fitted."""


def _by_task(train: Iterable[Sample], config: EvaluationConfig) -> dict[str, list[Sample]]:
    """Training samples of each scored task, by id, so that a fit does not depend on the order of the file."""
    groups: dict[str, list[Sample]] = {}
    for sample in sorted(train, key=lambda sample: sample.id):
        if sample.task in config.tasks:
            groups.setdefault(sample.task, []).append(sample)
    return groups


def _chance(task: str, train: Sequence[Sample], seed: int) -> Guesser:
    counts = [len(sample.events) for sample in train if sample.events] or [1]
    captions = _captions(train) or [""]
    is_grounded = task in INTERVAL_RULES

    def guess(sample: Sample, duration_s: float) -> Guess:
        rng = random.Random(derive_seed(seed, "chance", sample.id))
        option = rng.randrange(len(sample.options)) if sample.options else None
        spans = [_random_span(rng, duration_s) for _ in range(rng.choice(counts))] if is_grounded else []
        return Guess(
            spans=spans,
            captions=[rng.choice(captions) for _ in spans],
            option=option,
            text=rng.choice(captions),
        )

    return guess


def _constant(train: Sequence[Sample], guess_spans: Callable[[float], Spans]) -> Guesser:
    choices = fit_choice([sample for sample in train if sample.options])
    caption = most_frequent(_captions(train))

    def guess(sample: Sample, duration_s: float) -> Guess:
        spans = guess_spans(duration_s)
        return Guess(
            spans=spans,
            captions=[caption] * len(spans),
            option=choices.choose(sample) if sample.options else None,
            text=caption,
        )

    return guess


def _captions(train: Sequence[Sample]) -> list[str]:
    """What the task's answers say: event captions, or the answer where it is one caption."""
    if train[0].task == "rvc":
        return [plain_caption(sample.answer) for sample in train]
    return [plain_caption(event.caption) for sample in train for event in sample.events if event.caption]


def _random_span(rng: random.Random, duration_s: float) -> tuple[float, float]:
    """Two uniform instants, in order and apart."""
    a = b = 0.0
    while a == b:
        a, b = sorted(rng.uniform(0.0, duration_s) for _ in range(2))
    return a, b


def _tiler(count: int) -> Callable[[float], Spans]:
    return lambda duration_s: tiles(count, duration_s)


def _nowhere(duration_s: float) -> Spans:
    return []
