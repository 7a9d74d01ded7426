"""What was made, by factor; what was left out, and why; what the checker found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import fsum
from typing import Any

from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, OPERATORS, SPECS, Operator
from d2vlm_pipeline.timeline import PreferencePair, Sample

_PROBLEMS_SHOWN = 20


class PairStatistics:
    """Counts that grow sample by sample; `record` is the same for any order of the samples."""

    def __init__(self) -> None:
        self._samples = 0
        self._without_pairs: Counter[str] = Counter()
        self._pairs: dict[str, Counter[str]] = defaultdict(Counter)
        self._skipped: dict[str, Counter[str]] = defaultdict(Counter)
        self._magnitudes: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._problems: dict[str, list[str]] = {}

    def add_sample(
        self, sample: Sample, pairs: Sequence[PreferencePair], skipped: Iterable[tuple[str, str]]
    ) -> None:
        """Count one sample: its pairs, and (operator, reason) of each operator that did not apply."""
        self._samples += 1
        if not pairs:
            self._without_pairs[sample.task] += 1
        for operator, reason in skipped:
            self._skipped[operator][reason] += 1
        for factor in (factor for pair in pairs for factor in pair.factors):
            self._pairs[factor.operator][sample.task] += 1
            for name, value in factor.magnitude.items():
                if not isinstance(value, str):
                    self._magnitudes[factor.operator][name].append(float(value))

    def add_problems(self, pair: PreferencePair, problems: list[str]) -> None:
        """Count a pair that was held back for its faults."""
        self._problems[pair.id] = problems

    def merge(self, other: PairStatistics) -> None:
        """Take in the counts of another part of the same samples."""
        self._samples += other._samples
        self._without_pairs.update(other._without_pairs)
        for operator, tasks in other._pairs.items():
            self._pairs[operator].update(tasks)
        for operator, reasons in other._skipped.items():
            self._skipped[operator].update(reasons)
        for operator, magnitudes in other._magnitudes.items():
            for name, values in magnitudes.items():
                self._magnitudes[operator][name] += values
        self._problems.update(other._problems)

    def record(self) -> dict[str, Any]:
        """All counts as JSON types: per operator pairs, magnitudes, reasons to skip; checker's findings."""
        shown = sorted(self._problems)[:_PROBLEMS_SHOWN]
        return {
            "schema": 1,
            "operator_version": OPERATOR_VERSION,
            "samples": self._samples,
            "samples_without_pairs": _sorted(self._without_pairs),
            "pairs": sum(sum(tasks.values()) for tasks in self._pairs.values()),
            "operators": {operator: self._operator_record(operator) for operator in OPERATORS},
            "checker": {
                "held_back": len(self._problems),
                "examples": {pair_id: self._problems[pair_id] for pair_id in shown},
            },
        }

    def _operator_record(self, operator: Operator) -> dict[str, Any]:
        tasks = self._pairs[operator]
        magnitudes = self._magnitudes[operator]
        return {
            "axis": SPECS[operator].axis,
            "pairs": sum(tasks.values()),
            "tasks": _sorted(tasks),
            "magnitude": {name: _summary(magnitudes[name]) for name in sorted(magnitudes)},
            "skipped": _sorted(self._skipped[operator]),
        }


def _summary(values: list[float]) -> dict[str, float]:
    # fsum is exact, so the mean does not depend on the order in which workers delivered.
    return {"mean": round(fsum(values) / len(values), 6), "min": min(values), "max": max(values)}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts)}
