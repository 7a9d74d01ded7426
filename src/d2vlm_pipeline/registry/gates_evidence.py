"""Gates on what scores do not say: calibration, cost, preferences, and the data behind it all."""

from __future__ import annotations

from d2vlm_pipeline.registry.results import Evidence, GateResult, Unit, at_least, at_most, unmeasured
from d2vlm_pipeline.registry.rules import (
    Calibration,
    DataGates,
    Latency,
    Memory,
    NoContamination,
    PreferenceAccuracy,
)

_STUDY = "the {} study made no figure; name it in studies.run"
_MAKE = "run `kedro run --pipelines evaluation`"


def judge_calibration(rule: Calibration, evidence: Evidence) -> list[GateResult]:
    """The error that is left once confidences were refitted on the calibration split."""
    found = evidence.candidate.calibration
    if found is None:
        why = _STUDY.format("calibration")
        return [unmeasured(str(rule), why, rule.limit, evidence.refuses)]
    return [at_most(str(rule), f"calibration error {found.before:.2f} before,", found.after, rule.limit)]


def judge_latency(rule: Latency, evidence: Evidence) -> list[GateResult]:
    """Wall-clock seconds a question."""
    found = evidence.candidate.cost
    if found is None:
        return [unmeasured(str(rule), _STUDY.format("cost"), rule.limit_s, evidence.refuses, "s")]
    return [at_most(str(rule), "seconds a question", found.seconds, rule.limit_s, "s")]


def judge_memory(rule: Memory, evidence: Evidence) -> list[GateResult]:
    """Resident memory of the process at its peak."""
    found = evidence.candidate.cost
    if found is None:
        return [unmeasured(str(rule), _STUDY.format("cost"), rule.limit_mb, evidence.refuses, "MB")]
    return [at_most(str(rule), "peak memory in MB", found.peak_mb, rule.limit_mb, "MB")]


def judge_preference(rule: PreferenceAccuracy, evidence: Evidence) -> list[GateResult]:
    """How often the truth is found likelier than an answer that is wrong in this factor."""
    found = (evidence.candidate.pair_accuracy or {}).get(rule.factor)
    if found is None or found.value is None or found.n < rule.least_n:
        have = 0 if found is None else found.n
        why = f"{have} held-out pairs are wrong in {rule.factor}, {rule.least_n} are needed"
        return [unmeasured(str(rule), why, rule.limit, evidence.refuses)]
    what = f"chosen answer likelier, of {found.n} pairs wrong in {rule.factor},"
    return [at_least(str(rule), what, found.value, rule.limit)]


def judge_data(rule: DataGates, evidence: Evidence) -> list[GateResult]:
    """Expectations that do not hold, over all datasets; the first of them is told."""
    found = evidence.candidate.data_checks
    if not found:
        why = f"no guard's result; {_MAKE}"
        return [unmeasured(str(rule), why, 0.0, evidence.refuses, "failures")]
    lines = [
        line
        for checks in found
        for line in (*checks.errors, *(checks.warnings if rule.warnings == "refuse" else ()))
    ]
    count = sum(checks.checks for checks in found)
    what = f"of {count} expectations on {len(found)} datasets {len(lines)} do not hold"
    return [_none_of(str(rule), what, lines, "failures")]


def judge_contamination(rule: NoContamination, evidence: Evidence) -> list[GateResult]:
    """Scored clips that are in what models learn from; one that could not be looked for is not measured."""
    found = evidence.candidate.contamination
    if found is None or found.unseen or not found.clips:
        why = f"nothing was compared; {_MAKE}"
        if found is not None and found.unseen:
            why = f"{found.unseen} of {found.clips} scored clips are in no video table; ingest them again"
        if found is None or not found.found:
            return [unmeasured(str(rule), why, 0.0, evidence.refuses, "clips")]
    sources = ", ".join(f"{clips} of {name}" for name, clips in found.sources.items())
    what = f"{len(found.found)} of {found.clips} scored clips are among those learned from ({sources})"
    return [_none_of(str(rule), what, list(found.found), "clips")]


def _none_of(name: str, what: str, lines: list[str], unit: Unit) -> GateResult:
    """None of the lines may be there; the first one is told."""
    result = at_most(name, what, len(lines), 0.0, unit)
    return result.model_copy(update={"detail": f"{what}: {lines[0]}" if lines else what})
