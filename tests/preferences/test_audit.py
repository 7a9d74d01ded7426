"""The audit sees what gives wrong sides away, and only that; the gate warns and stops."""

import random

import pytest

from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.pipelines.preferences.nodes import judge_audit
from d2vlm_pipeline.preferences import (
    OPERATORS,
    AuditConfig,
    AuditLimits,
    DonorPool,
    Limit,
    OperatorWeights,
    PairAudit,
    PreferenceConfig,
    judge,
    synthesize_pairs,
)
from d2vlm_pipeline.preferences.audit_plots import render_audit
from d2vlm_pipeline.timeline import Event
from preferences import samples as s

LENGTH_S = 60.0


def moments(count: int = 80):
    """One moment each in many clips, anywhere and of any length: nothing to guess."""
    rng = random.Random(0)
    found = []
    for k in range(count):
        start_s = rng.uniform(0, 50)
        event = Event(start_s=start_s, end_s=start_s + rng.uniform(3, 9), caption="x")
        found.append(s.sample("tvg", "It is in <evi>.", events=[event], id=f"m/{k}", video=f"{k}.mp4"))
    return found


def dense(count: int = 30):
    """Three captions each in many clips."""
    return [
        s.captions(3).model_copy(update={"id": f"d/{k}", "video": f"{k}.mp4"}) for k in range(count)
    ]


def audited(samples, config: AuditConfig | None = None, shuffle: int | None = None, **weights):
    given = PreferenceConfig(
        pairs_per_sample=2, weights=OperatorWeights(**dict.fromkeys(OPERATORS, 0.0) | weights)
    )
    by_id = {sample.id: sample for sample in samples}
    durations = dict.fromkeys((sample.video for sample in samples), LENGTH_S)
    donors = DonorPool.of([*samples, s.other_clip(), s.ABSENT])
    pairs = list(synthesize_pairs(samples, durations, given, donors))
    if shuffle is not None:
        random.Random(shuffle).shuffle(pairs)
    audit = PairAudit(config or AuditConfig(resamples=50))
    for pair in pairs:
        audit.add(pair, by_id[pair.sample_id], LENGTH_S)
    return audit.record(), pairs


def test_a_shift_is_not_told_apart_by_its_text():
    record, _ = audited(moments(), shift=1.0)
    found = record["text_only"]["shift"]
    assert 0.35 < found["auc"] < 0.65
    assert found["low"] <= found["auc"] <= found["high"]


def test_what_text_gives_away_is_found():
    """Half a list is shorter than a whole one, and a denial is no answer with an interval."""
    deleted, _ = audited(dense(), delete=1.0)
    assert deleted["text_only"]["delete"]["auc"] > 0.95
    assert deleted["text_only"]["delete"]["picked"] > 0.95
    denied, _ = audited(moments(), wrong_text=1.0, shift=1.0)
    assert denied["text_only"]["wrong_text"]["auc"] > 0.95


def test_counts_and_gaps_are_those_of_the_pairs():
    record, pairs = audited(dense(), delete=1.0, shift=1.0)
    assert record["pairs"] == record["judged"] == len(pairs)
    counted = record["counts"]
    assert sum(counted["operator"].values()) == len(pairs) and counted["task"] == {"dvc": len(pairs)}
    dropped = [pair for pair in pairs if pair.factors[0].operator == "delete"]
    assert counted["axis"]["event_set"] == len(dropped)
    gap = record["biases"]["delete"]["events"]
    lost = sum(len(pair.chosen.evidence) - len(pair.rejected.evidence) for pair in dropped) / len(dropped)
    assert gap["chosen"] - gap["rejected"] == pytest.approx(lost, abs=1e-3)
    assert gap["rejected_less"] == 1.0 and record["biases"]["shift"]["events"]["gap"] == 0.0
    histogram = record["magnitudes"]["shift"]["max_iou"]
    assert sum(histogram["counts"]) == counted["operator"]["shift"]
    assert 0 <= histogram["low"] <= histogram["mean"] <= histogram["high"] <= 0.3


def test_positions_are_shares_of_the_clip():
    record, pairs = audited(moments(), shift=1.0)
    first = sum(pair.chosen.evidence[0].start_s for pair in pairs) / len(pairs) / LENGTH_S
    assert record["biases"]["all"]["first_start"]["chosen"] == pytest.approx(first, abs=1e-4)


def test_the_order_of_the_pairs_does_not_matter_and_few_are_held():
    small = AuditConfig(most_pairs=60, resamples=20)
    one, pairs = audited(moments(), small, shift=1.0)
    other, _ = audited(moments(), small, shuffle=1, shift=1.0)
    assert canonical_json(one) == canonical_json(other)
    assert one["pairs"] == len(pairs) > one["judged"] == 60


def test_few_videos_get_no_classifier():
    record, _ = audited(dense(5), AuditConfig(least_pairs=10), shift=1.0, delete=1.0)
    assert {name: found["auc"] for name, found in record["text_only"].items()} == {"all": None}
    assert render_audit(record).startswith(b"\x89PNG")
    assert render_audit(PairAudit(AuditConfig()).record()).startswith(b"\x89PNG")


def test_the_gate_warns_and_stops(caplog):
    record, _ = audited(dense(), delete=1.0)
    lenient = AuditConfig(limits=AuditLimits(operator_auc=Limit(warn=0.9)))
    judge_audit(record, lenient)
    assert "text-only AUC of delete" in caplog.text
    strict = AuditConfig(limits=AuditLimits(operator_auc=Limit(stop=0.9)))
    with pytest.raises(UserError, match=r"AUC of delete is 1\.0, above 0\.9"):
        judge_audit(record, strict)
    open_ = AuditLimits(**{name: Limit() for name in AuditLimits.model_fields})
    assert judge(record, open_) == []


def test_every_limit_is_held_against_its_value():
    record, _ = audited(dense(), delete=1.0)
    tight = AuditLimits(**{name: Limit(stop=-1.0) for name in AuditLimits.model_fields})
    names = [finding.name for finding in judge(record, tight)]
    assert names == [
        "gap in first_start",
        "gap in last_end",
        "gap in words",
        "share of delete",
        "text-only AUC of all",
        "text-only AUC of delete",
    ]
    distance = {"total_variation": 0.4}
    assert [finding.value for finding in judge(distance, tight)] == [0.4]
