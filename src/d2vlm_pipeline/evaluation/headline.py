"""The few figures of a run that people compare, without their intervals."""

from collections.abc import Mapping, Sequence

from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS
from d2vlm_pipeline.evaluation.scores import Scores

Headline = dict[str, dict[str, dict[str, dict[str, float]]]]


def headline(
    scores: Mapping[str, Scores],
    systems: Sequence[str] = ("sft", "fpo", "blind", "model"),
    metrics: Mapping[str, Sequence[str]] = MAIN_METRICS,
) -> Headline:
    """Percent by split, system, task and metric: what summaries show, of systems that learn.

    Args:
        scores: system name to its scores.
        systems: whose; of the others there is nothing to compare between runs.
        metrics: task code to the metrics shown.
    """
    shown: Headline = {}
    for system in systems:
        for split, tasks in scores.get(system, {}).items():
            shown.setdefault(split, {})[system] = {
                task: {name: tasks[task][name]["value"] for name in names if name in tasks[task]}
                for task, names in metrics.items()
                if task in tasks
            }
    return shown
