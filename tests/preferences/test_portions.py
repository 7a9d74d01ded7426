"""Pairs made, checked and audited in portions are those made, checked and audited one by one."""

import pytest

from artifacts.spread_work import backwards
from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.artifacts.spreading import spread_here
from d2vlm_pipeline.preferences import (
    AuditConfig,
    PairAudit,
    PairStatistics,
    PreferenceConfig,
    check_pairs,
    portions,
    spread_audit,
    spread_checks,
    spread_synthesis,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import PreferencePair, Sample, dump_jsonl
from preferences import samples as s

SAMPLES = [
    each.model_copy(update={"id": f"{each.id}/{k}", "video": f"clip_{k}.mp4"})
    for k in range(12)
    for each in s.ALL
]
DURATIONS = {f"clip_{k}.mp4": s.DURATION_S for k in range(12)}
CONFIG = PreferenceConfig()
AUDIT = AuditConfig(most_pairs=150, least_pairs=20, resamples=5)


def made() -> tuple[list[PreferencePair], PairStatistics]:
    statistics = PairStatistics()
    return list(synthesize_pairs(SAMPLES, DURATIONS, CONFIG, statistics=statistics)), statistics


def audited(pairs: list[PreferencePair], known: dict[str, Sample]) -> PairAudit:
    audit = PairAudit(AUDIT)
    for pair in pairs:
        audit.add(pair, known[pair.sample_id], DURATIONS[known[pair.sample_id].video])
    return audit


@pytest.mark.parametrize("spread", [spread_here, backwards])
@pytest.mark.parametrize("size", [7, 1000])
def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch, size: int, spread) -> None:
    monkeypatch.setattr(portions, "PORTION", size)
    pairs, statistics = made()
    parts = list(spread_synthesis(SAMPLES, DURATIONS, CONFIG, spread))
    assert len(parts) == -(-len(SAMPLES) // size)
    assert dump_jsonl(pair for part, _ in parts for pair in part) == dump_jsonl(pairs)
    merged = PairStatistics()
    for _, counted in parts:
        merged.merge(counted)
    assert canonical_json(merged.record()) == canonical_json(statistics.record())

    # One pair is about nothing that is known.
    strange = [*pairs, pairs[0].model_copy(update={"sample_id": "nobody's"})]
    checked = dump_jsonl(spread_checks(strange, SAMPLES, DURATIONS, spread))
    assert checked == dump_jsonl(check_pairs(strange, SAMPLES, DURATIONS))

    audit = PairAudit(AUDIT)
    for part in spread_audit(pairs, SAMPLES, DURATIONS, AUDIT, spread):
        audit.merge(part)
    whole = audited(pairs, {sample.id: sample for sample in SAMPLES})
    assert canonical_json(audit.record(spread)) == canonical_json(whole.record())
