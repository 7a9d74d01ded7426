"""Hard negatives: wrong answers that the model gives by itself, worst first by the metric of their task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.preferences.axes import differing_axes
from d2vlm_pipeline.preferences.checker import check_pair
from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, SAMPLED
from d2vlm_pipeline.timeline import (
    EvidenceSegment,
    FactorRecord,
    GroundedResponse,
    Prediction,
    PreferencePair,
    Sample,
)


class HardNegativeConfig(StrictModel):
    """Wrong answers of the model that FPO starts from, beside the synthetic ones.

    Attributes:
        draws: answers sampled to each training question; 0 leaves hard negatives out.
        temperature: of the draws.
        pairs_per_sample: at most so many of them become pairs.
        most_score: an answer with a higher score by its task's main metric, in [0, 1], is not wrong enough.
        most_samples: at most so many questions are asked, drawn evenly; all where not given.
        batch_questions: questions decoded together.
        max_new_tokens: longest answer.
        seed: root of the draws.
    """

    draws: int = Field(default=0, ge=0)
    temperature: PositiveFloat = 1.0
    pairs_per_sample: PositiveInt = 1
    most_score: float = Field(default=0.3, ge=0, le=1)
    most_samples: PositiveInt | None = None
    batch_questions: PositiveInt = 64
    max_new_tokens: PositiveInt = 96
    seed: int = 0


class SampledStatistics:
    """What became of the sampled answers: why they are no pairs, and on what axes the pairs are wrong."""

    def __init__(self) -> None:
        self.answers = 0
        self.pairs = 0
        self.left_out: Counter[str] = Counter()
        self.axes: Counter[str] = Counter()

    def record(self) -> dict[str, Any]:
        """All counts as JSON types."""
        return {
            "schema": 1,
            "answers": self.answers,
            "pairs": self.pairs,
            "left_out": {reason: count for reason, count in sorted(self.left_out.items()) if count},
            "axes": dict(sorted(self.axes.items())),
        }


class _Answer(NamedTuple):
    """A wrong answer, its score, and how many draws gave it."""

    score: float
    draws: int
    response: GroundedResponse


def sampled_pairs(
    samples: Sequence[Sample],
    predictions: Iterable[Prediction],
    durations: Mapping[str, float],
    config: HardNegativeConfig,
    statistics: SampledStatistics | None = None,
) -> Iterator[PreferencePair]:
    """Pairs of the truth and a sampled answer, the worst answers of each sample first.

    Factors are the axes in which the two differ, read off them; the checker has to agree.

    Args:
        samples: what was asked.
        predictions: sampled answers to them, several each, in any order.
        durations: length of each video in seconds.
        config: how many, and how wrong.
        statistics: counts what was left out and why.
    """
    counted = SampledStatistics() if statistics is None else statistics
    answered: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        answered[str(prediction.sample_id)].append(prediction)
    for sample in samples:
        answers = _wrong_answers(sample, answered[sample.id], config, counted)
        for rank, answer in enumerate(answers[: config.pairs_per_sample]):
            pair = _pair(sample, answer, rank, config.seed)
            if pair is None or check_pair(pair, sample, duration_s=durations[sample.video]):
                counted.left_out["differs in no way that can be named"] += 1
                continue
            counted.pairs += 1
            counted.axes.update(factor.axis for factor in pair.factors)
            yield pair
        counted.left_out["better than others of the sample"] += max(0, len(answers) - config.pairs_per_sample)


def task_score(sample: Sample, prediction: Prediction) -> float | None:
    """Main metric of the task for one answer, in [0, 1]; None where it needs more than the answer."""
    from d2vlm_pipeline.evaluation import MAIN_METRICS, TASK_METRICS, EvaluationConfig, Pair
    from d2vlm_pipeline.evaluation.contributions import MetricContext

    context = MetricContext(EvaluationConfig().thresholds)
    found = TASK_METRICS[sample.task]([Pair(sample, prediction)], context)
    for name in MAIN_METRICS[sample.task]:
        if name in found and len(found[name].stats_RS):
            return float(found[name].combine(found[name].stats_RS.sum(axis=0)))
    return None


def response_of(prediction: Prediction) -> GroundedResponse | None:
    """A prediction as a response; None where its answer does not refer to its evidence one by one."""
    references = [each.evidence for each in prediction.segments if isinstance(each, EvidenceSegment)]
    evidence = tuple(each.interval for each in prediction.evidence)
    if references and references != list(range(len(evidence))):
        return None
    segments: list[str | int] = []
    for segment in prediction.segments:
        if isinstance(segment, EvidenceSegment):
            segments.append(len([each for each in segments if isinstance(each, int)]))
        else:
            segments.append(segment.text)
    return GroundedResponse(evidence=evidence, segments=tuple(segments))


def _wrong_answers(
    sample: Sample,
    predictions: Sequence[Prediction],
    config: HardNegativeConfig,
    statistics: SampledStatistics,
) -> list[_Answer]:
    """Different wrong answers, lowest score first; of equal ones, what the model says most often."""
    truth = sample.response()
    found: dict[str, _Answer] = {}
    for prediction in predictions:
        statistics.answers += 1
        reason, answer = _judged(sample, truth, prediction, config)
        if answer is None:
            statistics.left_out[reason] += 1
            continue
        key = answer.response.model_dump_json()
        if key in found:
            statistics.left_out["said before"] += 1
            answer = answer._replace(draws=found[key].draws + 1)
        found[key] = answer
    return sorted(found.values(), key=lambda each: (each.score, -each.draws, each.response.render()))


def _judged(
    sample: Sample, truth: GroundedResponse, prediction: Prediction, config: HardNegativeConfig
) -> tuple[str, _Answer | None]:
    """A wrong answer, or why it is none that can be used."""
    if not prediction.parsed:
        return "not a response", None
    response = response_of(prediction)
    if response is None:
        return "halves of the response do not agree", None
    score = task_score(sample, prediction)
    if score is None:
        return "no metric without a text encoder", None
    if score > config.most_score or response == truth:
        return "not wrong enough", None
    return "", _Answer(round(score, 6), 1, response)


def _pair(sample: Sample, answer: _Answer, rank: int, seed: int) -> PreferencePair | None:
    truth = sample.response()
    axes = sorted(differing_axes(truth, answer.response, sample))
    if not axes:
        return None
    magnitude: dict[str, int | float | str] = {"score": answer.score, "draws": answer.draws, "rank": rank}
    return PreferencePair(
        id=f"{sample.id}/{SAMPLED}/{rank}",
        sample_id=sample.id,
        chosen=truth,
        rejected=answer.response,
        factors=tuple(FactorRecord(operator=SAMPLED, axis=axis, magnitude=magnitude) for axis in axes),
        seed=seed,
        operator_version=OPERATOR_VERSION,
    )
