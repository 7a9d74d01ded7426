"""How one gate of the policy comes out for a candidate."""

from __future__ import annotations

from typing import assert_never

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.registry.policy import ALL_TASKS, Gate, Policy, ScoreName
from d2vlm_pipeline.registry.scores import Score, Scores

_SEVERITY = {False: 0, True: 1, None: 2}


class GateResult(StrictModel):
    """How one gate came out.

    Attributes:
        name: the gate in words.
        figure: what was measured, percent or points; None where nothing could be measured.
        threshold: what it was held against.
        margin: distance to the threshold, positive on the good side.
        passed: None for a gate that needs a comparable champion where there is none.
        detail: the figure in words.
    """

    name: str
    figure: float | None
    threshold: float
    margin: float | None
    passed: bool | None
    detail: str


def judge_gate(gate: Gate, candidate: Scores, rival: Scores | None) -> GateResult:
    """Hold the candidate against one gate; over several tasks (`*`) the worst one counts.

    Args:
        gate: the gate.
        candidate: scores of the candidate.
        rival: scores of the champion, if there is one scored on the same data.

    Raises:
        UserError: the gate names a score that the candidate does not have.
    """
    return min((_judge(gate, candidate, rival, task) for task in _tasks(gate, candidate)), key=_badness)


def judge_headline(policy: Policy, ours: float | None, theirs: float | None) -> GateResult:
    """Whether the candidate's headline beats that of a champion scored on the same data."""
    name = f"headline {policy.headline} beats the champion"
    if ours is None or theirs is None:
        # A champion without a value is beaten by any value.
        detail = f"{policy.headline} {shown(ours)} against the champion's {shown(theirs)}"
        return _result(name, None, policy.min_gain, None, ours is not None, detail)
    gain = ours - theirs
    needed = f"≥ {policy.min_gain:.2f}" if policy.min_gain > 0 else "> 0"
    against = f"{ours:.2f} against the champion's {theirs:.2f}"
    detail = f"{policy.headline} {against} (gain {gain:+.2f}, needed {needed})"
    passed = gain > 0 and gain >= policy.min_gain
    return _result(name, gain, policy.min_gain, gain - policy.min_gain, passed, detail)


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


def shown(value: float | None) -> str:
    """A percentage for a sentence."""
    return "no value" if value is None else f"{value:.2f}"


def _judge(gate: Gate, candidate: Scores, rival: Scores | None, task: str) -> GateResult:
    match gate.gate:
        case "floor":
            return _floor(gate, candidate, task)
        case "unparsed_share":
            return _unparsed_share(gate, candidate, task)
        case "max_regression":
            return _regression(gate, candidate, rival, task)
        case _:
            assert_never(gate.gate)


def _floor(gate: Gate, candidate: Scores, task: str) -> GateResult:
    name = gate.score_name(task)
    figure = score_at(candidate, name, str(gate)).value
    if figure is None:
        return _result(str(gate), None, gate.limit, None, False, f"{name} has no value")
    margin = figure - gate.limit
    detail = f"{name} {figure:.2f} {'≥' if margin >= 0 else '<'} {gate.limit:.2f}"
    return _result(str(gate), figure, gate.limit, margin, margin >= 0, detail)


def _unparsed_share(gate: Gate, candidate: Scores, task: str) -> GateResult:
    where = f"{gate.split}/{task}"
    scores = candidate.tasks[gate.split][task].values()
    if not scores or any(score.n == 0 for score in scores):
        return _result(str(gate), None, gate.limit, None, False, f"{where} has no scored answers")
    share = max(100 * score.unparsed / score.n for score in scores)
    margin = gate.limit - share
    detail = f"{where} unparsed {share:.2f} % {'≤' if margin >= 0 else '>'} {gate.limit:.2f} %"
    return _result(str(gate), share, gate.limit, margin, margin >= 0, detail)


def _regression(gate: Gate, candidate: Scores, rival: Scores | None, task: str) -> GateResult:
    name = gate.score_name(task)
    ours = score_at(candidate, name, str(gate)).value
    theirs = None if rival is None else value_at(rival, name)
    if theirs is None:
        return _result(str(gate), None, gate.limit, None, None, f"{name} has no champion to compare with")
    if ours is None:
        return _result(str(gate), None, gate.limit, None, False, f"{name} has no value")
    loss = theirs - ours
    margin = gate.limit - loss
    detail = f"{name} {ours:.2f} against the champion's {theirs:.2f} (allowed loss {gate.limit:.2f})"
    return _result(str(gate), loss, gate.limit, margin, margin >= 0, detail)


def _tasks(gate: Gate, candidate: Scores) -> list[str]:
    """The tasks a gate speaks of: one, or with `*` every one of the split that has the gate's metric."""
    scored = candidate.tasks.get(gate.split, {})
    if gate.task != ALL_TASKS:
        tasks = [gate.task] if gate.task in scored else []
    else:
        tasks = [task for task, metrics in scored.items() if gate.metric is None or gate.metric in metrics]
    if not tasks:
        raise UserError(f"promotion policy: {gate}: {_missing(candidate, gate.split, gate.task)}")
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


def _badness(result: GateResult) -> tuple[int, float]:
    """Orders failed before passed before not compared, and by margin within each."""
    return _SEVERITY[result.passed], float("-inf") if result.margin is None else result.margin


def _result(
    name: str, figure: float | None, threshold: float, margin: float | None, passed: bool | None, detail: str
) -> GateResult:
    return GateResult(
        name=name, figure=figure, threshold=threshold, margin=margin, passed=passed, detail=detail
    )
