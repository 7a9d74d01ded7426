"""Finding the figures that a gate names; a name that is nowhere is a mistake in the policy."""

from __future__ import annotations

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.rules import ALL_TASKS, ScoreName
from d2vlm_pipeline.registry.scores import Score, Scores


def score_at(scores: Scores, name: ScoreName, asked_by: str) -> Score:
    """One score of a candidate.

    Raises:
        UserError: the candidate does not have it; the message lists what it has.
    """
    metrics = scores.tasks.get(name.split, {}).get(name.task, {})
    if name.metric not in metrics:
        raise UserError(f"promotion policy: {asked_by}: {_missing(scores, name.split, name.task)}")
    return metrics[name.metric]


def value_at(scores: Scores, name: ScoreName) -> float | None:
    """A champion's value; None where it, older than the policy, was not scored on this."""
    score = scores.tasks.get(name.split, {}).get(name.task, {}).get(name.metric)
    return None if score is None else score.value


def tasks_at(scores: Scores, split: str, task: str, metric: str | None, asked_by: str) -> list[str]:
    """The tasks a gate speaks of: one, or with `*` every one of the split that has the metric.

    Raises:
        UserError: there is none.
    """
    scored = scores.tasks.get(split, {})
    if task != ALL_TASKS:
        tasks = [task] if (metric is None and task in scored) or metric in scored.get(task, {}) else []
    else:
        tasks = [name for name, metrics in scored.items() if metric is None or metric in metrics]
    if not tasks:
        raise UserError(f"promotion policy: {asked_by}: {_missing(scores, split, task)}")
    return sorted(tasks)


def _missing(scores: Scores, split: str, task: str) -> str:
    """What the scores hold instead of what the policy asks for, and the mend."""
    held = scores.tasks.get(split)
    if held is None:
        what, names = "split", sorted(scores.tasks)
    elif task not in held:
        what, names = f"score on {split}", sorted(held)
    else:
        what, names = f"score on {split}/{task}", sorted(held[task])
    has = ", ".join(names) or "none"
    return f"system {scores.system} has no such {what} (it has {has}); mend promotion.yml"
