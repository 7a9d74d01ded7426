"""How one gate came out, and the few ways in which gates do."""

from __future__ import annotations

from typing import Literal, NamedTuple

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.registry.dossier import Dossier

Unit = Literal["%", "points", "s", "MB", "questions", "failures", "clips"]


class GateResult(StrictModel):
    """How one gate came out.

    Attributes:
        name: the gate in words.
        unit: of figure, threshold and margin.
        figure: what was measured; None where nothing was.
        threshold: what it was held against.
        margin: distance to the threshold, positive on the good side.
        passed: None where a gate has nothing to compare with, or shows that nothing was measured.
        measured: whether the candidate has the figure that the gate is about.
        detail: the figure in words.
    """

    name: str
    unit: Unit = "%"
    figure: float | None
    threshold: float
    margin: float | None
    passed: bool | None
    measured: bool = True
    detail: str

    @property
    def outcome(self) -> str:
        """One or two words: passed, failed, not compared, not measured."""
        if self.passed is True:
            return "passed"
        if not self.measured:
            return "not measured" if self.passed is None else "failed: not measured"
        return "not compared" if self.passed is None else "failed"


class Evidence(NamedTuple):
    """What a gate judges.

    Attributes:
        candidate: whose promotion is in question.
        rival: the champion, if there is one that was scored on the same data.
        refuses: whether what was not measured fails its gate.
    """

    candidate: Dossier
    rival: Dossier | None
    refuses: bool


def at_least(name: str, what: str, figure: float, limit: float, unit: Unit = "%") -> GateResult:
    """A figure that must not be below a limit; `what` names it in the sentence."""
    margin = figure - limit
    sign = "≥" if margin >= 0 else "<"
    return _judged(name, what, figure, limit, margin, unit, sign)


def at_most(name: str, what: str, figure: float, limit: float, unit: Unit = "%") -> GateResult:
    """A figure that must not be above a limit."""
    margin = limit - figure
    sign = "≤" if margin >= 0 else ">"
    return _judged(name, what, figure, limit, margin, unit, sign)


def unmeasured(name: str, why: str, limit: float, refuses: bool, unit: Unit = "%") -> GateResult:
    """A gate whose figure is not there; `why` says what would make it."""
    return GateResult(
        name=name,
        unit=unit,
        figure=None,
        threshold=limit,
        margin=None,
        passed=False if refuses else None,
        measured=False,
        detail=f"{name} was not measured: {why}",
    )


def not_compared(name: str, why: str, limit: float, unit: Unit = "points") -> GateResult:
    """A gate that compares, and has nothing to compare with."""
    return GateResult(
        name=name, unit=unit, figure=None, threshold=limit, margin=None, passed=None, detail=why
    )


def amount(value: float | None, unit: Unit = "%") -> str:
    """A figure for a sentence or a table, without its unit where that is plain from the place."""
    if value is None:
        return "no value"
    if unit == "s":
        return f"{value:.3f}"
    return f"{value:.0f}" if unit in ("MB", "questions", "failures", "clips") else f"{value:.2f}"


def _judged(
    name: str, what: str, figure: float, limit: float, margin: float, unit: Unit, sign: str
) -> GateResult:
    return GateResult(
        name=name,
        unit=unit,
        figure=figure,
        threshold=limit,
        margin=margin,
        passed=margin >= 0,
        detail=f"{what} {amount(figure, unit)} {sign} {amount(limit, unit)}",
    )
