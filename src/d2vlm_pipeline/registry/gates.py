"""How one gate of the policy comes out for a candidate."""

from __future__ import annotations

from typing import assert_never

from d2vlm_pipeline.registry.gates_evidence import (
    judge_calibration,
    judge_contamination,
    judge_data,
    judge_latency,
    judge_memory,
    judge_preference,
)
from d2vlm_pipeline.registry.gates_scores import (
    judge_floor,
    judge_n,
    judge_regression,
    judge_slices,
    judge_unparsed,
)
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.results import Evidence, GateResult, amount
from d2vlm_pipeline.registry.rules import Rule

_WORST_FIRST = ("failed", "failed: not measured", "not measured", "passed", "not compared")


def judge_gate(rule: Rule, evidence: Evidence) -> GateResult:
    """Hold the candidate against one gate; over several tasks or slices the worst one counts.

    Raises:
        UserError: the gate names a score that the candidate does not have.
    """
    return min(_judge(rule, evidence), key=_badness)


def judge_headline(policy: Policy, ours: float | None, theirs: float | None) -> GateResult:
    """Whether the candidate's headline beats that of a champion scored on the same data."""
    name = f"headline {policy.headline} beats the champion"
    against = f"{policy.headline} {amount(ours)} against the champion's {amount(theirs)}"
    if ours is None or theirs is None:
        # A champion without a value is beaten by any value.
        return _headline(name, policy, None, ours is not None, against)
    gain = ours - theirs
    needed = f"≥ {policy.min_gain:.2f}" if policy.min_gain > 0 else "> 0"
    detail = f"{against} (gain {gain:+.2f}, needed {needed})"
    return _headline(name, policy, gain, gain > 0 and gain >= policy.min_gain, detail)


def _judge(rule: Rule, evidence: Evidence) -> list[GateResult]:
    match rule.gate:
        case "floor":
            return judge_floor(rule, evidence)
        case "unparsed_share":
            return judge_unparsed(rule, evidence)
        case "min_n":
            return judge_n(rule, evidence)
        case "no_regression":
            return judge_regression(rule, evidence)
        case "slice_floor":
            return judge_slices(rule, evidence)
        case "calibration":
            return judge_calibration(rule, evidence)
        case "latency":
            return judge_latency(rule, evidence)
        case "memory":
            return judge_memory(rule, evidence)
        case "preference_accuracy":
            return judge_preference(rule, evidence)
        case "data_gates":
            return judge_data(rule, evidence)
        case "no_contamination":
            return judge_contamination(rule, evidence)
        case _:
            assert_never(rule.gate)


def _headline(name: str, policy: Policy, gain: float | None, passed: bool, detail: str) -> GateResult:
    return GateResult(
        name=name,
        unit="points",
        figure=gain,
        threshold=policy.min_gain,
        margin=None if gain is None else gain - policy.min_gain,
        passed=passed,
        detail=detail,
    )


def _badness(result: GateResult) -> tuple[int, float]:
    """Orders by outcome, and by margin within each."""
    return _WORST_FIRST.index(result.outcome), float("-inf") if result.margin is None else result.margin
