"""A decision in words that a person reads beside the model: Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from d2vlm_pipeline.registry.results import GateResult, amount

if TYPE_CHECKING:
    from d2vlm_pipeline.registry.decide import Decision

_CLOSEST = 3


def in_words(decision: Decision) -> str:
    """Why a version was promoted, or was not: the verdict, what stood against it, where it was close."""
    gates = decision.gates
    failed = [gate for gate in gates if gate.passed is False]
    passed = [gate for gate in gates if gate.passed is True]
    still_open = [gate for gate in gates if gate.passed is None]
    parts = [
        f"**{'Promoted' if decision.promote else 'Not promoted'}.** {_against(decision)}",
        f"{len(passed)} of {len(gates)} gates passed.",
        _listed("What stood against it:", failed),
        _listed("Closest to their limits:", _closest(passed)),
        _listed("Not judged:", still_open),
    ]
    return "\n\n".join(part for part in parts if part)


def _against(decision: Decision) -> str:
    ours, theirs = amount(decision.candidate_headline), amount(decision.champion_headline)
    if decision.comparable:
        return f"{decision.headline} {ours}, the champion's {theirs}, on the same data."
    if decision.champion_headline is None:
        return f"{decision.headline} {ours}; no champion to compare with."
    return f"{decision.headline} {ours}; the champion's {theirs} is on other data: the gates alone decided."


def _closest(gates: Iterable[GateResult]) -> list[GateResult]:
    """Those with the least room, as a share of what they are held against; where that is 0 there is none."""
    held = [gate for gate in gates if gate.threshold > 0]
    near = [(gate.margin / gate.threshold, gate) for gate in held if gate.margin is not None]
    return [gate for _, gate in sorted(near, key=lambda entry: entry[0])[:_CLOSEST]]


def _listed(title: str, gates: list[GateResult]) -> str:
    return "\n".join([title, "", *(f"- {gate.name}: {gate.detail}" for gate in gates)]) if gates else ""
