"""What was made, by factor; what was left out, and why; what the checker found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, OPERATORS, SAMPLED, SPECS
from d2vlm_pipeline.timeline import PreferencePair, Sample

_PROBLEMS_SHOWN = 20
_MICRO = 1_000_000


class _Summary:
    """Mean, smallest and largest of numbers in constant memory, the same for any order of them."""

    def __init__(self) -> None:
        self.count = 0
        # Of millionths: whole numbers add up exactly.
        self.total_micro = 0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        self.count += 1
        self.total_micro += round(value * _MICRO)
        self.low, self.high = min(self.low, value), max(self.high, value)

    def merge(self, other: _Summary) -> None:
        self.count += other.count
        self.total_micro += other.total_micro
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def record(self) -> dict[str, float]:
        return {"mean": round(self.total_micro / _MICRO / self.count, 6), "min": self.low, "max": self.high}


def _summaries() -> dict[str, _Summary]:
    return defaultdict(_Summary)


class PairStatistics:
    """Counts that grow sample by sample; `record` is the same for any order of the samples."""

    def __init__(self) -> None:
        self._samples = 0
        self._made = 0
        self._without_pairs: Counter[str] = Counter()
        self._pairs: dict[str, Counter[str]] = defaultdict(Counter)
        self._skipped: dict[str, Counter[str]] = defaultdict(Counter)
        self._magnitudes: dict[str, dict[str, _Summary]] = defaultdict(_summaries)
        self._problems: dict[str, list[str]] = {}
        self._held_back = 0

    def add_sample(
        self, sample: Sample, pairs: Sequence[PreferencePair], skipped: Iterable[tuple[str, str]]
    ) -> None:
        """Count one sample: its pairs, and (operator, reason) of each operator that did not apply."""
        self._samples += 1
        self._made += len(pairs)
        if not pairs:
            self._without_pairs[sample.task] += 1
        for operator, reason in skipped:
            self._skipped[operator][reason] += 1
        for factor in (factor for pair in pairs for factor in pair.factors):
            self._pairs[factor.operator][sample.task] += 1
            for name, value in factor.magnitude.items():
                if not isinstance(value, str):
                    self._magnitudes[factor.operator][name].add(float(value))

    def add_problems(self, pair: PreferencePair, problems: list[str]) -> None:
        """Count a pair that was held back for its faults; the first ones by id are kept as examples."""
        self._held_back += 1
        self._keep({pair.id: problems})

    def merge(self, other: PairStatistics) -> None:
        """Take in the counts of another part of the same samples."""
        self._samples += other._samples
        self._made += other._made
        self._held_back += other._held_back
        self._without_pairs.update(other._without_pairs)
        for operator, tasks in other._pairs.items():
            self._pairs[operator].update(tasks)
        for operator, reasons in other._skipped.items():
            self._skipped[operator].update(reasons)
        for operator, magnitudes in other._magnitudes.items():
            for name, summary in magnitudes.items():
                self._magnitudes[operator][name].merge(summary)
        self._keep(other._problems)

    def record(self) -> dict[str, Any]:
        """All counts as JSON types: by operator pairs, magnitudes, reasons to skip; checker's findings.

        A pair of several factors counts once among the pairs, and once at each of its operators.
        """
        seen = [name for name in (*OPERATORS, SAMPLED) if name in self._pairs or name in self._skipped]
        return {
            "schema": 1,
            "operator_version": OPERATOR_VERSION,
            "samples": self._samples,
            "samples_without_pairs": _sorted(self._without_pairs),
            "pairs": self._made,
            "operators": {operator: self._operator_record(operator) for operator in seen},
            "checker": {
                "held_back": self._held_back,
                "examples": {pair_id: self._problems[pair_id] for pair_id in sorted(self._problems)},
            },
        }

    def _keep(self, problems: dict[str, list[str]]) -> None:
        found = self._problems | problems
        self._problems = {pair_id: found[pair_id] for pair_id in sorted(found)[:_PROBLEMS_SHOWN]}

    def _operator_record(self, operator: str) -> dict[str, Any]:
        tasks = self._pairs[operator]
        magnitudes = self._magnitudes[operator]
        axes = [spec.axis for name, spec in SPECS.items() if name == operator]
        return {
            "axis": axes[0] if axes else "any",
            "pairs": sum(tasks.values()),
            "tasks": _sorted(tasks),
            "magnitude": {name: magnitudes[name].record() for name in sorted(magnitudes)},
            "skipped": _sorted(self._skipped[operator]),
        }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts)}
