"""Pairs in portions, for whoever does them: made, checked and audited as one by one, to the byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from d2vlm_pipeline.artifacts.spreading import Spread, portions_of
from d2vlm_pipeline.preferences.audit import AuditConfig, PairAudit
from d2vlm_pipeline.preferences.config import PreferenceConfig
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.pair_checks import PairCheck, check_pairs
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.synthesis import synthesize_pairs
from d2vlm_pipeline.timeline import PreferencePair, Sample

PORTION = 1000
"""Samples or pairs of a portion: a second of work or less, against milliseconds of sending it."""

_Told = tuple[tuple[PreferencePair, ...], tuple[Sample, ...]]
"""Pairs, and the samples that they are about."""


@dataclass(frozen=True)
class Synthesis:
    """Makes the pairs of a portion of samples."""

    durations: Mapping[str, float]
    config: PreferenceConfig
    donors: DonorPool

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[PreferencePair], PairStatistics]:
        """Pairs in the order of the samples, and what was made and left out."""
        counted = PairStatistics()
        pairs = synthesize_pairs(samples, self.durations, self.config, self.donors, counted)
        return list(pairs), counted


@dataclass(frozen=True)
class Checking:
    """Holds a portion of pairs against their samples."""

    durations: Mapping[str, float]

    def __call__(self, told: _Told) -> list[PairCheck]:
        """A row for every pair."""
        return list(check_pairs(*told, self.durations))


@dataclass(frozen=True)
class Auditing:
    """Takes in a portion of pairs."""

    durations: Mapping[str, float]
    config: AuditConfig

    def __call__(self, told: _Told) -> PairAudit:
        """An audit of these pairs alone, to be merged."""
        pairs, samples = told
        by_id, audit = {sample.id: sample for sample in samples}, PairAudit(self.config)
        for pair in pairs:
            sample = by_id[pair.sample_id]
            audit.add(pair, sample, self.durations[sample.video])
        return audit


def spread_synthesis(
    samples: Sequence[Sample], durations: Mapping[str, float], config: PreferenceConfig, spread: Spread
) -> Iterator[tuple[list[PreferencePair], PairStatistics]]:
    """`synthesize_pairs` portion by portion, every portion with its counts; donors are all the samples.

    Raises:
        UserError: as `synthesize_pairs`.
    """
    work = Synthesis(durations, config, DonorPool.of(samples))
    return spread(work, portions_of(samples, PORTION))


def spread_checks(
    pairs: Sequence[PreferencePair], samples: Sequence[Sample], durations: Mapping[str, float], spread: Spread
) -> Iterator[PairCheck]:
    """`check_pairs`, portion by portion: a row for every pair, in their order."""
    for rows in spread(Checking(durations), _told(pairs, samples)):
        yield from rows


def spread_audit(
    pairs: Sequence[PreferencePair],
    samples: Sequence[Sample],
    durations: Mapping[str, float],
    config: AuditConfig,
    spread: Spread,
) -> Iterator[PairAudit]:
    """Audits of portions of the pairs: merged, they are that of all."""
    return spread(Auditing(durations, config), _told(pairs, samples))


def _told(pairs: Sequence[PreferencePair], samples: Sequence[Sample]) -> list[_Told]:
    """Portions with the samples that they need; a pair of no sample comes without one."""
    by_id = {sample.id: sample for sample in samples}
    portions = []
    for part in portions_of(pairs, PORTION):
        ids = dict.fromkeys(pair.sample_id for pair in part)
        portions.append((tuple(part), tuple(by_id[name] for name in ids if name in by_id)))
    return portions
