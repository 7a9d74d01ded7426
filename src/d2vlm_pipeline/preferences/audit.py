"""What a set of pairs is made of, and what gives its wrong sides away without looking at the video."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

from pydantic import Field, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel, derive_seed
from d2vlm_pipeline.artifacts.spreading import Spread, spread_here
from d2vlm_pipeline.preferences.blind import SidedText, separability, sided_text
from d2vlm_pipeline.preferences.errors import ErrorHistogram, said_by_pair
from d2vlm_pipeline.timeline import PreferencePair, Sample

_BINS = 10
_ALL = "all"


class Limit(StrictModel):
    """A value above `warn` is said, one above `stop` ends the run; None leaves it out."""

    warn: float | None = None
    stop: float | None = None


class AuditLimits(StrictModel):
    """What the gate holds against the audit.

    Attributes:
        text_auc: area under the curve, over all pairs, of a classifier that sees the text alone; 0.5 is
            chance, 1 says that the video is not needed.
        operator_auc: the same for the pairs of each operator by itself.
        length_gap: mean difference of the sides in words, in either direction, as a share of the chosen.
        position_gap: mean difference of first start or last end, in either direction, as a share of the clip.
        largest_share: of one operator among all records.
        distance: total variation between the operators' mistakes and the SFT model's own.
    """

    text_auc: Limit = Limit(warn=0.75)
    operator_auc: Limit = Limit(warn=0.9)
    length_gap: Limit = Limit(warn=0.25)
    position_gap: Limit = Limit(warn=0.15)
    largest_share: Limit = Limit(warn=0.6)
    distance: Limit = Limit(warn=0.6)


class AuditConfig(StrictModel):
    """How pairs are audited.

    Attributes:
        most_pairs: pairs that are judged by their text, drawn evenly; all are counted.
        least_pairs: an operator with fewer pairs gets no classifier of its own.
        least_mistakes: of the operators and of the model, for a distance between the two.
        folds: of the cross-validation, by video.
        resamples: bootstrap draws of videos behind each interval.
        seed: of these draws.
        limits: of the gate.
    """

    most_pairs: PositiveInt = 4000
    least_pairs: int = Field(default=40, ge=10)
    least_mistakes: PositiveInt = 20
    folds: int = Field(default=5, ge=2)
    resamples: PositiveInt = 200
    seed: int = 0
    limits: AuditLimits = AuditLimits()


class Finding(NamedTuple):
    """A value of the audit beyond its limit."""

    name: str
    value: float
    limit: float
    stops: bool


class PairAudit:
    """Takes in pairs one by one, in any order; holds no more than a sample of their texts."""

    def __init__(self, config: AuditConfig) -> None:
        self.config = config
        self.mistakes = ErrorHistogram()
        self._pairs = 0
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._kept: list[tuple[int, str, SidedText]] = []

    def add(self, pair: PreferencePair, sample: Sample, duration_s: float) -> None:
        """Take in one pair of a sample from a clip of that length."""
        self._pairs += 1
        self._counts["factors a pair"][str(len(pair.factors))] += 1
        self._counts["task"][sample.task] += 1
        for factor in pair.factors:
            self._counts["operator"][factor.operator] += 1
            self._counts["axis"][factor.axis] += 1
        self.mistakes.add(sample, said_by_pair(pair))
        # The lowest of numbers drawn by name: an even sample that does not depend on the order.
        lot = derive_seed(self.config.seed, "audit", pair.id)
        if self._takes(lot):
            self._keep((-lot, pair.id, sided_text(pair, sample, duration_s)))

    def merge(self, other: PairAudit) -> None:
        """Take in what another one took in of other pairs."""
        self._pairs += other._pairs
        self.mistakes.merge(other.mistakes)
        for name, counts in other._counts.items():
            self._counts[name].update(counts)
        for entry in other._kept:
            if self._takes(-entry[0]):
                self._keep(entry)

    def _takes(self, lot: int) -> bool:
        return len(self._kept) < self.config.most_pairs or -lot > self._kept[0][0]

    def _keep(self, entry: tuple[int, str, SidedText]) -> None:
        if len(self._kept) < self.config.most_pairs:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heapreplace(self._kept, entry)

    def record(self, spread: Spread = spread_here) -> dict[str, Any]:
        """The audit as JSON types; the same for any order of the pairs, and whoever fits the classifiers."""
        texts = [text for _, _, text in sorted(self._kept, key=lambda entry: entry[1])]
        groups = {_ALL: texts, **_by_operator(texts)}
        judged = {name: group for name, group in groups.items() if len(group) >= self.config.least_pairs}
        judging = partial(
            separability, folds=self.config.folds, resamples=self.config.resamples, seed=self.config.seed
        )
        return {
            "schema": 1,
            "pairs": self._pairs,
            "judged": len(texts),
            "counts": {name: dict(sorted(counts.items())) for name, counts in sorted(self._counts.items())},
            "magnitudes": _magnitudes(texts),
            "biases": {name: _biases(group) for name, group in groups.items()},
            "text_only": dict(zip(judged, spread(judging, list(judged.values())), strict=True)),
            "mistakes": self.mistakes.record(),
        }


def judge(record: dict[str, Any], limits: AuditLimits) -> list[Finding]:
    """Values of an audit, or of a distance record, that are beyond their limits, the worst first."""
    findings = []
    for name, value, limit in _limited(record, limits):
        if limit.stop is not None and value > limit.stop:
            findings.append(Finding(name, value, limit.stop, True))
        elif limit.warn is not None and value > limit.warn:
            findings.append(Finding(name, value, limit.warn, False))
    return sorted(findings, key=lambda finding: (not finding.stops, finding.name))


def _limited(record: dict[str, Any], limits: AuditLimits) -> list[tuple[str, float, Limit]]:
    values: list[tuple[str, float, Limit]] = []
    for name, found in record.get("text_only", {}).items():
        if found["auc"] is not None:
            limit = limits.text_auc if name == _ALL else limits.operator_auc
            values.append((f"text-only AUC of {name}", found["auc"], limit))
    overall = record.get("biases", {}).get(_ALL, {})
    for name, limit in (
        ("words", limits.length_gap),
        ("first_start", limits.position_gap),
        ("last_end", limits.position_gap),
    ):
        if name in overall:
            values.append((f"gap in {name}", abs(overall[name]["gap"]), limit))
    operators = record.get("counts", {}).get("operator", {})
    if operators:
        name, most = max(operators.items(), key=lambda item: (item[1], item[0]))
        values.append((f"share of {name}", round(most / sum(operators.values()), 4), limits.largest_share))
    if record.get("total_variation") is not None:
        values.append(("distance to the model's own mistakes", record["total_variation"], limits.distance))
    return values


def _by_operator(texts: Sequence[SidedText]) -> dict[str, list[SidedText]]:
    groups: dict[str, list[SidedText]] = defaultdict(list)
    for text in texts:
        groups["+".join(text.operators)].append(text)
    return dict(sorted(groups.items()))


def _magnitudes(texts: Sequence[SidedText]) -> dict[str, dict[str, Any]]:
    """Histogram of every number that the operators record, in ten bins between its extremes."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for text in texts:
        for operator, name, value in text.magnitudes:
            found[operator][name].append(value)
    return {
        operator: {name: _histogram(values) for name, values in sorted(names.items())}
        for operator, names in sorted(found.items())
    }


def _histogram(values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values), max(values)
    counts = [0] * _BINS
    for value in values:
        place = int((value - low) / (high - low) * _BINS) if high > low else 0
        counts[min(place, _BINS - 1)] += 1
    return {"low": low, "high": high, "mean": round(fmean(values), 6), "counts": counts}


def _biases(texts: Sequence[SidedText]) -> dict[str, dict[str, float]]:
    """Means of both sides, their gap as a share, and how often the rejected side has more."""
    record = {}
    for name, is_share in (("words", False), ("events", False), ("first_start", True), ("last_end", True)):
        both = [(a, b) for text in texts for a, b in [text.measured(name)] if a is not None and b is not None]
        if both:
            chosen, rejected = fmean(a for a, _ in both), fmean(b for _, b in both)
            scale = 1.0 if is_share or not chosen else chosen
            record[name] = {
                "chosen": round(chosen, 4),
                "rejected": round(rejected, 4),
                "gap": round((rejected - chosen) / scale, 4),
                "rejected_more": round(fmean(b > a for a, b in both), 4),
                "rejected_less": round(fmean(b < a for a, b in both), 4),
            }
    return record
