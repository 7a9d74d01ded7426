"""The demo world's certificate: what it promises, measured on its plans, questions and stored features.

A promise about frequencies or scores needs a sample; where a small world has too little of one, the promise
is not judged but listed under `skipped` with the reason. What depends on a trained model (zero video, another
clip's frames) is judged where models are scored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import TypedDict

from d2vlm_pipeline.evaluation.baselines import BASELINES
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.priors import Durations
from d2vlm_pipeline.evaluation.probe import CLEARANCE, probe_features
from d2vlm_pipeline.evaluation.scores import score_system
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.video.world import ClipPlan, WorldConfig, plan_world
from d2vlm_pipeline.video.world.certificate import (
    event_shares,
    is_test_only,
    near_misses,
    nests_events,
    overlaps_events,
    repeats_event,
    sampled_frames,
)
from d2vlm_pipeline.video.world.vocabulary import ACTIONS, CLASSES, COLOURS, VERB

TEST_SPLIT = "test-iid"
EVENT_SHARE_MAX = 15.0
SAMPLED_FRAMES_MIN = 3
INTERVAL_F1_MAX = 25.0
CHOICE_MARGIN = 5.0
CHOICE_TASKS = ("gvq", "mcq")
P_MIN = 0.01
PROBE_MIN = {"class": 90.0, "colour": 90.0, "cell": 85.0}

_ENOUGH = 100  # clips, questions or frames that a frequency or a score needs
_ONE_SIDED = 1.64  # standard errors: 5 % of fair worlds would exceed it
_TWO_SIDED = 2.58  # standard errors: 1 % of fair worlds lie outside
_VOCABULARIES = (frozenset(COLOURS), frozenset(CLASSES), frozenset(VERB[action] for action in ACTIONS))


class Check(TypedDict):
    """One promise: what was measured, what it should be, whether it is kept."""

    name: str
    value: float
    limit: str
    passed: bool


class Skipped(TypedDict):
    """A promise that this world is too small to judge, or that lacks what it is judged on."""

    name: str
    reason: str


class Certificate(TypedDict):
    """All promises of one world, by its digest."""

    world: str
    checks: list[Check]
    skipped: list[Skipped]


class _Ledger:
    """Promises judged and skipped, in order."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.skipped: list[Skipped] = []

    def skip(self, name: str, reason: str) -> None:
        self.skipped.append(Skipped(name=name, reason=reason))

    def is_enough(self, name: str, count: int, things: str) -> bool:
        """Whether there are enough things to judge; otherwise the promise is skipped."""
        if count < _ENOUGH:
            self.skip(name, f"{count} {things}, {_ENOUGH} needed")
        return count >= _ENOUGH

    def at_most(self, name: str, value: float, limit: float, why: str = "") -> None:
        self._add(name, value, f"at most {_shown(limit)}{why}", value <= limit)

    def at_least(self, name: str, value: float, limit: float) -> None:
        self._add(name, value, f"at least {_shown(limit)}", value >= limit)

    def share(self, name: str, hits: Sequence[bool], wanted: float, things: str) -> None:
        """A share in percent, within two-sided sampling error of what the configuration asks for."""
        if not self.is_enough(name, len(hits), things):
            return
        value, target = 100.0 * mean(hits), 100.0 * wanted
        slack = _TWO_SIDED * _standard_error(wanted, len(hits))
        limit = f"{_shown(target)} within {_TWO_SIDED} standard errors ({_shown(slack)})"
        self._add(name, value, limit, abs(value - target) <= slack)

    def fair(self, name: str, counts: Sequence[Sequence[int]], things: str) -> None:
        """Each row of counts uniform: the p-value of a chi-square test over all rows together."""
        rows = [row for row in counts if sum(row) > 0]
        if self.is_enough(name, sum(map(sum, rows)), things):
            self.at_least(name, chi_square_p(rows), P_MIN)

    def _add(self, name: str, value: float, limit: str, passed: bool) -> None:
        self.checks.append(Check(name=name, value=round(value, 3), limit=limit, passed=passed))


def certify_world(
    config: WorldConfig,
    samples: Sequence[Sample],
    durations: Durations,
    clips: ClipSource | None,
    evaluation: EvaluationConfig,
    sampling: SamplingPolicy,
) -> Certificate:
    """Judge every promise of a world that can be judged without a trained model.

    Args:
        config: the world; its clips are planned again.
        samples: its questions, as ingested.
        durations: lengths of the accepted clips; clips that are not among them are left out.
        clips: stored features, None to leave the probe out.
        evaluation: thresholds and seed of the baselines' scores.
        sampling: which frames are looked at.
    """
    plans = [plan for plan in plan_world(config) if plan.video in durations]
    ledger = _Ledger()
    _judge_events(ledger, plans, config, sampling)
    _judge_questions(ledger, samples, config)
    _judge_baselines(ledger, samples, durations, evaluation)
    _judge_options(ledger, samples)
    _judge_likeness(ledger, samples)
    _judge_features(ledger, plans, clips)
    return Certificate(world=config.digest, checks=ledger.checks, skipped=ledger.skipped)


def no_certificate(reason: str) -> Certificate:
    """What stands in a certificate's place for footage that is not the demo world's."""
    skipped = Skipped(name="the demo world's promises", reason=f"do not apply: {reason}")
    return Certificate(world="", checks=[], skipped=[skipped])


def _judge_events(
    ledger: _Ledger, plans: Sequence[ClipPlan], config: WorldConfig, sampling: SamplingPolicy
) -> None:
    name = "median share of its clip that an event fills, %"
    if ledger.is_enough(name, len(plans), "clips"):
        shares = [share for plan in plans for share in event_shares(plan)]
        ledger.at_most(name, 100.0 * median(shares), EVENT_SHARE_MAX)
    name = "sampled frames of the shortest event"
    fewest = min((count for plan in plans for count in sampled_frames(plan, sampling)), default=None)
    if fewest is None:
        ledger.skip(name, "no accepted clip")
    else:
        ledger.at_least(name, fewest, SAMPLED_FRAMES_MIN)
        accompanied = [count > 0 for plan in plans for count in near_misses(plan)]
        ledger.at_least("events with a near-miss in their clip, %", 100.0 * mean(accompanied), 100.0)
    shares_wanted: tuple[tuple[str, Callable[[ClipPlan], bool], float], ...] = (
        ("clips that repeat an event, %", repeats_event, config.repeat_share),
        ("clips with events at the same time, %", overlaps_events, config.overlap_share),
        ("clips with an event within another, %", nests_events, config.nested_share),
    )
    for name, holds, wanted in shares_wanted:
        ledger.share(name, [holds(plan) for plan in plans], wanted, "clips")


def _judge_questions(ledger: _Ledger, samples: Sequence[Sample], config: WorldConfig) -> None:
    asked = [not sample.events for sample in samples if sample.task in ("tvg", "tal")]
    ledger.share("queries for something absent, %", asked, config.absent_share, "queries")
    seen = sum(is_test_only(sample.question) for sample in samples if not sample.split.startswith("test"))
    ledger.at_most("questions outside the test splits in wordings kept for them", seen, 0)
    name = f"{TEST_SPLIT} questions in wordings kept for test splits, %"
    fresh = [is_test_only(sample.question) for sample in samples if sample.split == TEST_SPLIT]
    if ledger.is_enough(name, len(fresh), "questions"):
        ledger.at_least(name, 100.0 * mean(fresh), 25.0)


def _judge_baselines(
    ledger: _Ledger, samples: Sequence[Sample], durations: Durations, evaluation: EvaluationConfig
) -> None:
    """Intervals and options that can be had without looking."""
    config = evaluation.model_copy(
        update={"tasks": ("tvg", *CHOICE_TASKS), "caption_similarity": False, "resamples": 1}
    )
    samples = [sample for sample in samples if sample.task in config.tasks]
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == TEST_SPLIT]
    count = Counter(sample.task for sample in test)
    for system in ("prior", "whole_video"):
        baseline = BASELINES[system](train, durations, config)
        guesses = baseline.predict(test, durations)
        scores = score_system(test, guesses, config, tasks=baseline.tasks).get(TEST_SPLIT, {})
        name = f"TVG F1 of {system}, {TEST_SPLIT}"
        if ledger.is_enough(name, count["tvg"], "questions"):
            ledger.at_most(name, scores["tvg"]["f1"]["value"], INTERVAL_F1_MAX)
        for task in CHOICE_TASKS if system == "prior" else ():
            name = f"{task.upper()} accuracy of {system}, {TEST_SPLIT}"
            if ledger.is_enough(name, count[task], "questions"):
                sizes = [len(s.options) for s in test if s.task == task and s.options]
                _judge_choice(ledger, name, scores[task]["accuracy"]["value"], sizes)


def _judge_choice(ledger: _Ledger, name: str, accuracy: float, sizes: Sequence[int]) -> None:
    """Accuracy in percent on questions with so many options each."""
    chance = mean(1.0 / size for size in sizes)
    limit = 100.0 * chance + CHOICE_MARGIN + _ONE_SIDED * _standard_error(chance, len(sizes))
    why = f": chance + {CHOICE_MARGIN:g} + {_ONE_SIDED} standard errors of {len(sizes)} questions"
    ledger.at_most(name, accuracy, limit, why)


def _judge_options(ledger: _Ledger, samples: Sequence[Sample]) -> None:
    """Neither the place of the right option nor the answer itself is likelier than another."""
    chosen = [(sample.options, sample.answer_index) for sample in samples if sample.options]
    places: dict[int, Counter[int]] = {}
    answers: dict[frozenset[str], Counter[str]] = {}
    for options, right in chosen:
        if right is None:
            continue
        places.setdefault(len(options), Counter())[right] += 1
        # Captions name three attributes; their words are balanced where an attribute is asked for.
        for vocabulary in _VOCABULARIES:
            if vocabulary.issuperset(options):
                answers.setdefault(vocabulary, Counter())[options[right]] += 1
    by_place = [[count[place] for place in range(size)] for size, count in places.items()]
    ledger.fair("places of the right option, p of a chi-square test", by_place, "questions")
    by_answer = [[count[answer] for answer in sorted(words)] for words, count in answers.items()]
    ledger.fair("right answers given what is asked for, p of a chi-square test", by_answer, "questions")


def _judge_likeness(ledger: _Ledger, samples: Sequence[Sample]) -> None:
    """Wrong options made from the right one would give it away: it would be the one most like the others."""
    name = "right options that are most like the others, %"
    led, sizes = [], []
    for sample in samples:
        best = most_alike(sample.options or ())
        # Where all are equally alike there is nothing to follow.
        if sample.options and len(best) < len(sample.options):
            led.append((sample.answer_index in best) / len(best))
            sizes.append(len(sample.options))
    if ledger.is_enough(name, len(led), "questions"):
        _judge_choice(ledger, name, 100.0 * mean(led), sizes)


def _judge_features(ledger: _Ledger, plans: Sequence[ClipPlan], clips: ClipSource | None) -> None:
    names = {
        "class": "object class that a linear probe reads on held-out clips, %",
        "colour": "object colour that a linear probe reads on held-out clips, %",
        "cell": "3×3 cell that a linear probe reads on held-out clips, centres "
        f"{100 * CLEARANCE:g} % of the frame clear of the lines, %",
    }
    if clips is None:
        for name in names.values():
            ledger.skip(name, "no stored features")
        return
    for attribute, reading in probe_features(plans, clips).items():
        name = names[attribute]
        if ledger.is_enough(name, min(reading.train, reading.held_out), "frames"):
            ledger.at_least(name, 100.0 * reading.accuracy, PROBE_MIN[attribute])


def most_alike(options: Sequence[str]) -> list[int]:
    """Indices of the options that share the most words with the others."""
    words = [set(option.split()) for option in options]
    shared = [sum(len(own & other) for other in words if other is not own) for own in words]
    return [index for index, count in enumerate(shared) if count == max(shared)]


def chi_square_p(counts: Sequence[Sequence[int]]) -> float:
    """p-value of all rows of counts being uniform, their statistics and degrees of freedom added up."""
    from scipy.stats import chi2

    statistic, freedom = 0.0, 0
    for row in counts:
        expected = sum(row) / len(row)
        statistic += sum((count - expected) ** 2 for count in row) / expected
        freedom += len(row) - 1
    return float(chi2.sf(statistic, freedom))


def _standard_error(share: float, count: int) -> float:
    """Of a share estimated from `count` draws, in percent."""
    return 100.0 * math.sqrt(share * (1.0 - share) / count)


def _shown(number: float) -> str:
    return f"{round(number, 2):g}"
