"""When the alias moves, and what the decision says about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import decide, scores_of
from registry.records import CLIPS, FLOOR, REGRESSION, UNPARSED, dossier, metrics, policy


def gate(decision, name):
    return next(result for result in decision.gates if result.name.startswith(name))


def test_the_first_candidate_above_the_floors_is_promoted():
    decision = decide(dossier(), None, policy())
    assert decision.promote and not decision.comparable
    assert decision.reason == (
        "alias champion moves: 2 of 3 gates passed, 1 had nothing to compare with; "
        "test-iid/tvg/f1 60.00, no champion before"
    )
    floor = gate(decision, "floor")
    assert (floor.figure, floor.threshold, floor.margin, floor.passed) == (60.0, 30.0, 30.0, True)
    assert gate(decision, "no_regression").passed is None


@pytest.mark.parametrize(("value", "promoted"), [(30.0, True), (29.99, False)])
def test_a_floor_is_met_exactly_at_its_limit(value, promoted):
    decision = decide(dossier(tvg=value), None, policy(FLOOR))
    assert decision.promote is promoted
    if not promoted:
        assert decision.reason.startswith(
            "alias champion stays: 1 of 1 gates failed: test-iid/tvg/f1 29.99 < 30.00"
        )


@pytest.mark.parametrize(("unparsed", "promoted"), [(5, True), (6, False)])
def test_the_worst_task_counts_for_unparsed_answers(unparsed, promoted):
    decision = decide(dossier(unparsed=unparsed), None, policy(UNPARSED))
    assert decision.promote is promoted
    assert gate(decision, "unparsed_share").figure == unparsed
    assert "dvc" in gate(decision, "unparsed_share").detail


def test_the_champion_has_to_be_beaten_not_equalled():
    champion = dossier(tvg=60.0)
    assert decide(dossier(tvg=60.01), champion, policy()).promote
    tie = decide(dossier(tvg=60.0), champion, policy())
    assert not tie.promote
    assert "60.00 against the champion's 60.00 (gain +0.00, needed > 0)" in tie.reason


def test_a_minimal_gain_can_be_asked_for():
    rules = policy(min_gain=2.0)
    assert not decide(dossier(tvg=61.9), dossier(tvg=60.0), rules).promote
    assert decide(dossier(tvg=62.0), dossier(tvg=60.0), rules).promote


@pytest.mark.parametrize(("dvc", "promoted"), [(37.0, True), (36.9, False)])
def test_another_task_may_lose_only_so_much(dvc, promoted):
    decision = decide(dossier(tvg=70.0, dvc=dvc), dossier(dvc=40.0), policy())
    assert decision.promote is promoted
    assert gate(decision, "no_regression").figure == pytest.approx(40.0 - dvc)


def test_a_champion_scored_on_other_data_is_not_compared_and_the_reason_says_so():
    champion = dossier(tvg=90.0, dvc=90.0, data={"world": "w0", "samples": "s1"})
    decision = decide(dossier(), champion, policy())
    assert decision.promote and not decision.comparable
    assert decision.reason == (
        "alias champion moves: 2 of 3 gates passed, 1 had nothing to compare with; the champion was scored "
        "on other data (world differ), so the gates alone decide: test-iid/tvg/f1 60.00 here, 90.00 there"
    )
    assert not decide(dossier(tvg=10.0), champion, policy()).promote


def test_the_policy_says_which_digests_must_agree():
    champion = dossier(tvg=90.0, data={"world": "w1", "samples": "s1", "features": "f0"})
    candidate = dossier(data={"world": "w1", "samples": "s1", "features": "f1"})
    assert not decide(candidate, champion, policy()).comparable
    assert decide(candidate, champion, policy(compare_data=["samples"])).comparable


def test_a_digest_that_is_not_recorded_is_an_error():
    with pytest.raises(UserError, match=r"compare_data names weather, which metrics\.json does not record"):
        decide(dossier(), None, policy(compare_data=["weather"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f2"}, r"no such score on test-iid/tvg \(it has f1, miou\); mend promotion.yml"),
        ({"task": "vhd"}, r"no such score on test-iid \(it has dvc, tvg\)"),
        ({"split": "val"}, r"no such split \(it has test-iid\)"),
        ({"task": "*", "metric": "f2"}, "system fpo has no such score"),
    ],
)
def test_a_gate_on_an_unknown_score_is_an_error(change, message):
    with pytest.raises(UserError, match=message):
        decide(dossier(), None, policy({**FLOOR, **change}))


def test_an_unknown_headline_is_an_error():
    headline = {"split": "test-iid", "task": "tvg", "metric": "cider"}
    with pytest.raises(UserError, match="headline test-iid/tvg/cider"):
        decide(dossier(), None, policy(headline=headline))


def test_a_score_without_value_fails_its_floor_and_loses_to_any_champion():
    assert not decide(dossier(tvg=None), None, policy(FLOOR)).promote
    assert not decide(dossier(tvg=None), dossier(), policy(UNPARSED)).promote
    assert decide(dossier(), dossier(tvg=None), policy(UNPARSED)).promote


@pytest.mark.parametrize(
    "changes",
    [{"without": ("clip_sums",)}, {"clips": CLIPS[:-1]}],
)
def test_a_champion_scored_on_other_clips_or_before_the_gate_was_is_not_compared_on_it(changes):
    decision = decide(dossier(), dossier(tvg=50.0, **changes), policy())
    assert decision.promote and gate(decision, "no_regression").outcome == "not compared"
    assert "the champion was not scored on the same questions" in gate(decision, "no_regression").detail
    assert "1 had nothing to compare with" in decision.reason


def test_a_system_that_was_not_scored_is_named():
    with pytest.raises(UserError, match=r"no scores of 'sft' \(it has fpo, prior\)"):
        scores_of(metrics(), "sft")


def test_malformed_scores_are_refused():
    broken = metrics()
    broken["scores"]["fpo"]["test-iid"]["tvg"]["f1"]["n"] = -1
    with pytest.raises(UserError, match=r"metrics.json: fpo: tasks.test-iid.tvg.f1.n"):
        scores_of(broken, "fpo")


PERCENT = st.floats(min_value=0, max_value=100)


@given(PERCENT, PERCENT, PERCENT, PERCENT)
def test_whoever_is_promoted_passed_every_gate_and_no_two_models_beat_each_other(tvg, dvc, tvg2, dvc2):
    first, second = dossier(tvg=tvg, dvc=dvc), dossier(tvg=tvg2, dvc=dvc2)
    rules = policy(FLOOR, UNPARSED, REGRESSION)
    decision = decide(first, second, rules)
    assert decision.promote == (tvg >= 30 and tvg > tvg2 and dvc2 - dvc <= 3)
    assert not (decision.promote and decide(second, first, rules).promote)
    assert all(
        (result.margin >= 0) >= result.passed for result in decision.gates if result.margin is not None
    )
