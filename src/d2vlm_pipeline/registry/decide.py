"""The decision of promotion: a pure function of candidate, champion and policy, with its reasons in words."""

from __future__ import annotations

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.gates import judge_gate, judge_headline
from d2vlm_pipeline.registry.lookup import score_at, value_at
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.results import Evidence, GateResult, amount
from d2vlm_pipeline.registry.scores import Scores


class Decision(StrictModel):
    """Whether the alias moves, and why.

    Attributes:
        promote: whether the candidate becomes the champion.
        comparable: whether there is a champion scored on the same data.
        headline: name of the headline score.
        candidate_headline: its value for the candidate, percent.
        champion_headline: its value for the champion, percent, on whatever data it was scored.
        gates: every gate, in the order of the policy; the headline last, where it was compared.
        reason: one sentence for the log, the table and the audit.
    """

    promote: bool
    comparable: bool
    headline: str
    candidate_headline: float | None
    champion_headline: float | None
    gates: tuple[GateResult, ...]
    reason: str


def decide(candidate: Dossier, champion: Dossier | None, policy: Policy) -> Decision:
    """Decide whether `candidate` takes the alias from `champion`.

    Every gate has to pass. Against a champion that was scored on the same data the headline has to be better
    as well; against one scored on other data the gates that compare are left out, and the reason says so.

    Raises:
        UserError: the policy names a score or a data digest that the candidate does not have.
    """
    held = None if champion is None else champion.scores
    differing = _differing_data(candidate.scores, held, policy)
    ours = score_at(candidate.scores, policy.headline, f"headline {policy.headline}").value
    theirs = None if held is None else value_at(held, policy.headline)
    evidence = Evidence(candidate, None if differing else champion, policy.unmeasured == "refuse")
    gates = [judge_gate(rule, evidence) for rule in policy.gates]
    if evidence.rival is not None:
        gates.append(judge_headline(policy, ours, theirs))
    promote = all(gate.passed is not False for gate in gates)
    if champion is None:
        context = f"{policy.headline} {amount(ours)}, no champion before"
    elif differing:
        context = (
            f"the champion was scored on other data ({', '.join(differing)} differ), so the gates alone "
            f"decide: {policy.headline} {amount(ours)} here, {amount(theirs)} there"
        )
    else:
        context = gates[-1].detail
    return Decision(
        promote=promote,
        comparable=evidence.rival is not None,
        headline=str(policy.headline),
        candidate_headline=ours,
        champion_headline=theirs,
        gates=tuple(gates),
        reason=f"{_verdict(policy, gates)}; {context}",
    )


def _verdict(policy: Policy, gates: list[GateResult]) -> str:
    failed = [gate.detail for gate in gates if gate.passed is False]
    if failed:
        return f"alias {policy.alias} stays: {len(failed)} of {len(gates)} gates failed: {'; '.join(failed)}"
    passed = sum(gate.passed is True for gate in gates)
    compared = sum(gate.outcome == "not compared" for gate in gates)
    measured = sum(gate.outcome == "not measured" for gate in gates)
    return (
        f"alias {policy.alias} moves: {passed} of {len(gates)} gates passed"
        + (f", {compared} had nothing to compare with" if compared else "")
        + (f", {measured} were not measured" if measured else "")
    )


def _differing_data(candidate: Scores, champion: Scores | None, policy: Policy) -> list[str]:
    """Names of the data digests on which the two were not scored alike; none without a champion."""
    unknown = [key for key in policy.compare_data if key not in candidate.data]
    if unknown:
        raise UserError(
            f"promotion policy: compare_data names {unknown[0]}, which metrics.json does not record "
            f"(it has {', '.join(sorted(candidate.data)) or 'none'}); mend promotion.yml"
        )
    if champion is None:
        return []
    keys = policy.compare_data or sorted(candidate.data.keys() | champion.data.keys())
    return [key for key in keys if candidate.data.get(key) != champion.data.get(key)]
