"""Gates on scores: floors, slices, unreadable answers, how many were asked, and the champion's score."""

from __future__ import annotations

from collections.abc import Mapping

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.paired import ClipSums, paired_loss
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.lookup import score_at, tasks_at
from d2vlm_pipeline.registry.results import (
    Evidence,
    GateResult,
    amount,
    at_least,
    at_most,
    not_compared,
    unmeasured,
)
from d2vlm_pipeline.registry.rules import Floor, MinN, NoRegression, ScoreName, SliceFloor, UnparsedShare

_SEED = 0
_MAKE = "run `kedro run --pipelines evaluation`"


def judge_floor(rule: Floor, evidence: Evidence) -> list[GateResult]:
    """The score of every task against the limit."""
    results = []
    for name in _names(rule, evidence):
        value = score_at(evidence.candidate.scores, name, str(rule)).value
        if value is None:
            results.append(unmeasured(str(rule), f"{name} has no value", rule.limit, evidence.refuses))
        else:
            results.append(at_least(str(rule), str(name), value, rule.limit))
    return results


def judge_unparsed(rule: UnparsedShare, evidence: Evidence) -> list[GateResult]:
    """The largest share of unreadable answers among the metrics of each task."""
    scores, results = evidence.candidate.scores, []
    for task in tasks_at(scores, rule.split, rule.task, None, str(rule)):
        held = [score for score in scores.tasks[rule.split][task].values() if score.n]
        shares = [100 * score.unparsed / score.n for score in held]
        where = f"{rule.split}/{task}"
        if shares:
            results.append(at_most(str(rule), f"{where} unparsed", max(shares), rule.limit))
        else:
            why = f"{where} has no scored answers"
            results.append(unmeasured(str(rule), why, rule.limit, evidence.refuses))
    return results


def judge_n(rule: MinN, evidence: Evidence) -> list[GateResult]:
    """How many questions each task was asked; some metrics leave out those about absent events."""
    scores, results = evidence.candidate.scores, []
    for task in tasks_at(scores, rule.split, rule.task, None, str(rule)):
        asked = max((score.n for score in scores.tasks[rule.split][task].values()), default=0)
        results.append(at_least(str(rule), f"{rule.split}/{task} n", asked, rule.n, "questions"))
    return results


def judge_slices(rule: SliceFloor, evidence: Evidence) -> list[GateResult]:
    """Every slice that has enough questions."""
    if rule.by != "task" and evidence.candidate.slices is None:
        return [unmeasured(str(rule), f"no slices; {_MAKE}", rule.limit, evidence.refuses)]
    told = {
        name: value
        for name, (value, n) in _slices(rule, evidence).items()
        if value is not None and n >= rule.least_n
    }
    if not told:
        why = f"no slice has {rule.least_n} questions; lower least_n"
        return [unmeasured(str(rule), why, rule.limit, evidence.refuses)]
    return [at_least(str(rule), name, value, rule.limit) for name, value in told.items()]


def judge_regression(rule: NoRegression, evidence: Evidence) -> list[GateResult]:
    """The loss against the champion, as large as it could be, on the same clips."""
    return [_regression(rule, name, evidence) for name in _names(rule, evidence)]


def _names(rule: Floor | NoRegression | SliceFloor, evidence: Evidence) -> list[ScoreName]:
    tasks = tasks_at(evidence.candidate.scores, rule.split, rule.task, rule.metric, str(rule))
    return [rule.score_name(task) for task in tasks]


def _slices(rule: SliceFloor, evidence: Evidence) -> Mapping[str, tuple[float | None, int]]:
    """Value and number of questions by name of the slice."""
    names = _names(rule, evidence)
    if rule.by == "task":
        scores = {str(name): score_at(evidence.candidate.scores, name, str(rule)) for name in names}
        return {name: (score.value, score.n) for name, score in scores.items()}
    by_split = evidence.candidate.slices or {}
    found = {name: by_split.get(name.split, {}).get(name.task, {}).get(name.metric, {}) for name in names}
    return {
        f"{name}, {rule.by} {part}": (score.value, score.n)
        for name, slices in found.items()
        for part, score in slices.get(rule.by, {}).items()
    }


def _regression(rule: NoRegression, name: ScoreName, evidence: Evidence) -> GateResult:
    ours = _sums(evidence.candidate, name)
    if ours is None:
        why = f"{name} has no sums by clip; {_MAKE}"
        return unmeasured(str(rule), why, rule.limit, evidence.refuses, "points")
    if evidence.rival is None:
        return not_compared(str(rule), f"{name} has no champion to compare with", rule.limit)
    theirs = _sums(evidence.rival, name)
    if theirs is None or not ours.is_paired_with(theirs):
        why = f"{name}: the champion was not scored on the same questions"
        return not_compared(str(rule), why, rule.limit)
    seed = derive_seed(_SEED, "no_regression", str(name))
    loss = paired_loss(ours, theirs, rule.resamples, rule.confidence, seed)
    what = (
        f"{name} {amount(ours.value)} against the champion's {amount(theirs.value)}: loss, with "
        f"{100 * rule.confidence:g} % confidence, at most"
    )
    return at_most(str(rule), what, loss.upper, rule.limit, "points")


def _sums(dossier: Dossier, name: ScoreName) -> ClipSums | None:
    return (dossier.clip_sums or {}).get(name.split, {}).get(name.task, {}).get(name.metric)
