"""How scores depend on what is asked of them: IoU threshold, length of the clip, length of the events."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.bootstrap import estimate
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import Contribution, MetricContext, at_thresholds
from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS, TASK_METRICS
from d2vlm_pipeline.evaluation.page.blocks import Chart, Line, Point
from d2vlm_pipeline.evaluation.pairs import Pair

IOU_GRID = tuple(round(0.1 * step, 1) for step in range(1, 10))

THRESHOLD_METRICS = {
    "tvg": "r1",
    "epm": "r1",
    "tem": "r1",
    "tal": "f1",
    "dvc": "cap_f1",
    "slc": "cap_f1",
    "tvc": "cap_f1",
    "gvq": "rec",
}
"""Of each task that judges intervals at thresholds, the metric that has a value at each (`r1@0.5` …)."""

_LEAST_SAMPLES = 8  # a slice of fewer says nothing
_SLICES = 4

Systems = Mapping[str, Sequence[Pair]]
"""System name to its pairs of one task."""


def threshold_chart(
    task: str, systems: Systems, tones: Mapping[str, int], config: EvaluationConfig
) -> Chart | None:
    """The task's metric at every threshold of a fine grid; None where the task has none."""
    name = THRESHOLD_METRICS.get(task)
    if name is None:
        return None
    names, lines = at_thresholds(name, IOU_GRID), []
    for system, pairs in systems.items():
        metrics = TASK_METRICS[task](pairs, MetricContext(thresholds=IOU_GRID))
        points = [
            _point(threshold, metrics[key], config, task)
            for key, threshold in zip(names, IOU_GRID, strict=True)
            if key in metrics
        ]
        if points:
            lines.append(Line(system, tones[system], tuple(points)))
    if not lines:
        return None
    return Chart(
        title=task,
        x_label="IoU threshold",
        y_label=f"{name}@IoU (%)",
        lines=tuple(lines),
        x_range=(0.1, 0.9),
        filled=True,
    )


def duration_chart(
    task: str,
    systems: Systems,
    tones: Mapping[str, int],
    config: EvaluationConfig,
    durations: Mapping[str, float],
) -> Chart | None:
    """The task's main metric by the length of the clip."""

    def length_s(pair: Pair) -> float:
        return durations[pair.sample.video]

    return _sliced(task, systems, tones, config, length_s, "length of the clip (s)")


def length_chart(
    task: str, systems: Systems, tones: Mapping[str, int], config: EvaluationConfig
) -> Chart | None:
    """The task's main metric by the mean length of the true intervals."""

    def length_s(pair: Pair) -> float:
        return float(np.diff(pair.truth_G2).mean())

    grounded = {system: [pair for pair in pairs if pair.sample.events] for system, pairs in systems.items()}
    return _sliced(task, grounded, tones, config, length_s, "mean length of the true intervals (s)")


def slice_edges(values: Sequence[float], slices: int) -> list[float]:
    """Edges of at most so many slices of about equal mass; equal values are never parted."""
    quantiles = np.quantile(np.array(values), np.linspace(0, 1, slices + 1))
    return sorted({float(edge) for edge in quantiles})


def _sliced(
    task: str,
    systems: Systems,
    tones: Mapping[str, int],
    config: EvaluationConfig,
    value_of: Callable[[Pair], float],
    x_label: str,
) -> Chart | None:
    values = [value_of(pair) for pairs in systems.values() for pair in pairs]
    if not values:
        return None
    most = max(len(pairs) for pairs in systems.values())
    edges = slice_edges(values, max(2, min(_SLICES, most // (2 * _LEAST_SAMPLES))))
    if len(edges) < 3:
        return None  # all alike: nothing to compare
    metric, lines = MAIN_METRICS[task][0], []
    for system, pairs in systems.items():
        places = np.clip(np.searchsorted(edges, [value_of(p) for p in pairs], "right") - 1, 0, len(edges) - 2)
        points = []
        for place in range(len(edges) - 1):
            within = [pair for pair, held in zip(pairs, places, strict=True) if held == place]
            metrics = TASK_METRICS[task](within, MetricContext(config.thresholds))
            if metric in metrics and len(metrics[metric].clips) >= _LEAST_SAMPLES:
                points.append(_point(float(place), metrics[metric], config, f"{task}/{place}"))
        if len(points) > 1:
            lines.append(Line(system, tones[system], tuple(points)))
    if not lines:
        return None
    return Chart(
        title=task,
        x_label=x_label,
        y_label=f"{metric} (%)",
        lines=tuple(lines),
        x_range=(0.0, float(len(edges) - 2)),
        x_names=tuple(f"{low:.3g}–{high:.3g}" for low, high in pairwise(edges)),
    )


def _point(x: float, contribution: Contribution, config: EvaluationConfig, key: str) -> Point:
    seed = derive_seed(config.seed, "page", key)
    found = estimate(contribution, config.resamples, config.confidence, seed)
    value, low, high = (round(100.0 * share, 4) for share in found)
    return Point(x, value, low, high, f"n {len(contribution.clips)}")
