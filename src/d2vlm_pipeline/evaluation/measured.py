"""What a comparison of two systems needs beside their scores: sums by clip, and scores by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import Embed
from d2vlm_pipeline.evaluation.metrics import TASK_METRICS
from d2vlm_pipeline.evaluation.paired import ClipSums, sums_of
from d2vlm_pipeline.evaluation.scores import grouped_pairs, metric_context
from d2vlm_pipeline.evaluation.slices import SliceConfig, Slices, slice_scores
from d2vlm_pipeline.timeline import Prediction, Sample

SumsByMetric = dict[str, dict[str, dict[str, ClipSums]]]
SlicesByMetric = dict[str, dict[str, dict[str, Slices]]]
"""By split, task and metric."""


class Measured(NamedTuple):
    """One system's sums and slices, by split, task and metric."""

    sums: SumsByMetric
    slices: SlicesByMetric


def measure_system(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    durations_s: Mapping[str, float],
    config: EvaluationConfig,
    slicing: SliceConfig,
    embed: Embed | None = None,
) -> Measured:
    """Sums and slices of every metric that `score_system` gives the system, from the same statistics.

    Args:
        samples: the truth.
        predictions: of one system.
        durations_s: of each video.
        config: tasks, thresholds.
        slicing: where slices begin.
        embed: sentence encoder; the default one where None and the config wants it.

    Raises:
        UserError: predictions that do not belong to the samples.
    """
    context = metric_context(config, embed)
    by_id = {sample.id: sample for sample in samples}
    measured = Measured({}, {})
    for (split, task), pairs in grouped_pairs(samples, predictions, config).items():
        found = TASK_METRICS[task](pairs, context)
        sums, slices = measured.sums.setdefault(split, {}), measured.slices.setdefault(split, {})
        sums[task] = {name: sums_of(found[name]) for name in sorted(found)}
        slices[task] = {
            name: slice_scores(found[name], by_id, durations_s, slicing) for name in sorted(found)
        }
    return measured
