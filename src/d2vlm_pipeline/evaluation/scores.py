"""From predictions to metrics.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np

from d2vlm_pipeline.artifacts import canonical_json, derive_seed
from d2vlm_pipeline.artifacts.spreading import Spread, spread_here
from d2vlm_pipeline.evaluation.bootstrap import estimate
from d2vlm_pipeline.evaluation.captioning import caption_texts
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import Contribution, Embed, MetricContext
from d2vlm_pipeline.evaluation.metrics import TASK_METRICS
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.evaluation.similarity import embed_spread
from d2vlm_pipeline.timeline import Prediction, Sample

METRICS_SCHEMA = 1
_DECIMALS = 4


class Score(TypedDict):
    """One metric in percent, with its bootstrap interval, its denominator and the unparsed answers in it."""

    value: float
    low: float
    high: float
    n: int
    unparsed: int


TaskScores = dict[str, dict[str, Score]]
Scores = dict[str, TaskScores]
"""Split to task to metric to score."""


def score_system(
    samples: Iterable[Sample],
    predictions: Iterable[Prediction],
    config: EvaluationConfig,
    embed: Embed | None = None,
    tasks: Sequence[str] | None = None,
) -> Scores:
    """Score one system on every split and task of the samples.

    Args:
        samples: the truth; every sample of a scored task is in its denominator, answered or not.
        predictions: at most one a sample; order does not matter.
        config: tasks, thresholds, bootstrap.
        embed: sentence encoder for caption similarity; the default one where None and the config wants it.
        tasks: what this system is asked, where less than the config (`tiling` answers five tasks).

    Raises:
        UserError: predictions that do not belong to the samples.
    """
    context = metric_context(config, embed)
    scores: Scores = {}
    for (split, task), pairs in grouped_pairs(samples, predictions, config, tasks).items():
        scores.setdefault(split, {})[task] = _score_task(pairs, split, task, config, context)
    return scores


def grouped_pairs(
    samples: Iterable[Sample],
    predictions: Iterable[Prediction],
    config: EvaluationConfig,
    tasks: Sequence[str] | None = None,
) -> dict[tuple[str, str], list[Pair]]:
    """Samples of each (split, task) that is asked, in their order, beside what is said of them."""
    asked = [task for task in config.tasks if tasks is None or task in tasks]
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in match_predictions(samples, predictions):
        if pair.sample.task in asked:
            groups.setdefault((pair.sample.split, pair.sample.task), []).append(pair)
    return dict(sorted(groups.items()))


def score_systems(
    samples: Sequence[Sample],
    predictions: Mapping[str, Sequence[Prediction]],
    config: EvaluationConfig,
    spread: Spread = spread_here,
    tasks: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Scores]:
    """`score_system` of many, in portions for whoever does them: the same scores, whoever does.

    Captions of all systems are embedded first, in portions that depend on the captions alone.

    Args:
        samples: the truth.
        predictions: of each system.
        config: tasks, thresholds, bootstrap.
        spread: who does it.
        tasks: what a system is asked, of those that are asked less than the config.

    Raises:
        UserError: predictions that do not belong to the samples.
    """
    groups: dict[tuple[str, str], dict[str, list[Pair]]] = {}
    for system, answered in predictions.items():
        for place, pairs in grouped_pairs(samples, answered, config, (tasks or {}).get(system)).items():
            groups.setdefault(place, {})[system] = pairs
    vectors: dict[str, Floats] = {}
    if config.caption_similarity:
        every = (pairs for by_system in groups.values() for pairs in by_system.values())
        vectors = embed_spread(set[str]().union(*map(caption_texts, every)), spread)
    portions = [_told(place, by_system, vectors) for place, by_system in sorted(groups.items())]
    scores: dict[str, Scores] = {system: {} for system in predictions}
    for portion, found in zip(portions, spread(TaskScoring(config), portions), strict=True):
        for system, metrics in found.items():
            scores[system].setdefault(portion.split, {})[portion.task] = metrics
    return scores


class Told(NamedTuple):
    """What all systems say on one task of one split: samples and draws of clips are the same for all."""

    split: str
    task: str
    pairs: Mapping[str, Sequence[Pair]]
    vectors: Mapping[str, Floats]


def _told(
    place: tuple[str, str], by_system: Mapping[str, Sequence[Pair]], vectors: Mapping[str, Floats]
) -> Told:
    texts = set[str]().union(*map(caption_texts, by_system.values())) if vectors else set[str]()
    return Told(*place, by_system, {text: vectors[text] for text in sorted(texts)})


@dataclass(frozen=True)
class TaskScoring:
    """Scores what all systems say on one task of one split."""

    config: EvaluationConfig

    def __call__(self, told: Told) -> dict[str, dict[str, Score]]:
        """Scores by metric, of each system."""
        embed = _Known(told.vectors) if self.config.caption_similarity else None
        context = MetricContext(thresholds=self.config.thresholds, seed=self.config.seed, embed=embed)
        return {
            system: _score_task(pairs, told.split, told.task, self.config, context)
            for system, pairs in told.pairs.items()
        }


@dataclass(frozen=True)
class _Known:
    """Embeds texts whose vectors are there."""

    vectors: Mapping[str, Floats]

    def __call__(self, texts: Sequence[str]) -> Floats:
        return np.stack([self.vectors[text] for text in texts])


def assemble_metrics(scores: Mapping[str, Scores], data: Mapping[str, str]) -> str:
    """metrics.json as canonical text: equal inputs give equal bytes.

    Args:
        scores: system name to its scores.
        data: digests of what was scored (world, samples, feature store …) by name.
    """
    return canonical_json({"schema": METRICS_SCHEMA, "data": dict(data), "scores": dict(scores)}) + "\n"


def metric_context(config: EvaluationConfig, embed: Embed | None) -> MetricContext:
    """What metrics need; without a sentence encoder the default one, where captions are compared."""
    if not config.caption_similarity:
        embed = None
    elif embed is None:
        from d2vlm_pipeline.evaluation.similarity import default_encoder

        embed = default_encoder()
    return MetricContext(thresholds=config.thresholds, seed=config.seed, embed=embed)


def _score_task(
    pairs: Sequence[Pair], split: str, task: str, config: EvaluationConfig, context: MetricContext
) -> dict[str, Score]:
    seed = derive_seed(config.seed, "bootstrap", split, task)
    contributions = TASK_METRICS[task](pairs, context)
    return {name: _score(contributions[name], config, seed) for name in sorted(contributions)}


def _score(contribution: Contribution, config: EvaluationConfig, seed: int) -> Score:
    result = estimate(contribution, config.resamples, config.confidence, seed)
    return Score(
        value=_percent(result.value),
        low=_percent(result.low),
        high=_percent(result.high),
        n=len(contribution.clips),
        unparsed=contribution.unparsed,
    )


def _percent(share: float) -> float:
    return round(100.0 * share, _DECIMALS)
