"""What studies ask of a single answer: how right it is, how sure, and whether another one says the same."""

from __future__ import annotations

import numpy as np

from d2vlm_pipeline.evaluation.overlap import harmonic_mean, precision_recall
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.evaluation.parsing import answer_text, option_index
from d2vlm_pipeline.timeline import GROUNDED_TASKS, Prediction, Question, Sample


def is_judged(sample: Sample) -> bool:
    """Whether `rightness` knows what a right answer is: there are options, or intervals."""
    return sample.options is not None or sample.task in GROUNDED_TASKS


def rightness(pair: Pair, hit_iou: float) -> float:
    """Right option, 0 or 1, where there are options; denial of an absent event; else `interval_f1`."""
    if pair.sample.options is not None:
        return float(pair.is_right_option)
    return float(pair.denies("answer")) if pair.sample.is_absent else interval_f1(pair, hit_iou)


def interval_f1(pair: Pair, hit_iou: float) -> float:
    """F1 of the answer's intervals and the true ones at an IoU; of one each, whether they meet."""
    precision, recall = precision_recall(pair.intervals_P2("answer"), pair.truth_G2, (hit_iou,))
    return float(harmonic_mean(precision, recall)[0])


def confidence_of(pair: Pair) -> float | None:
    """Mean confidence of the answer's intervals, None where there is none: the answer abstains."""
    said = pair.prediction.answer_intervals if pair.prediction is not None and pair.parsed else ()
    return float(np.mean([interval.confidence for interval in said])) if said else None


def says_the_same(asked: Sample | Question, one: Prediction, other: Prediction) -> bool:
    """Whether two answers agree in what they say: in the option where there are options, else in the words.

    Times are left out: they are not what is said but where it is seen.
    """
    a, b = (answer_text(prediction.segments) for prediction in (one, other))
    if asked.options is not None:
        return option_index(a, len(asked.options)) == option_index(b, len(asked.options))
    return a.split() == b.split()
