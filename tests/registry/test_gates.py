"""Every kind of gate fails where its own figure is bad, and only there."""

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import decide
from d2vlm_pipeline.registry.rules import KINDS
from registry.records import (
    CALIBRATION,
    CONTAMINATION,
    DATA_GATES,
    FLOOR,
    GATES,
    LATENCY,
    MEMORY,
    MIN_N,
    PREFERENCE,
    REGRESSION,
    SLICES,
    UNPARSED,
    dossier,
    policy,
)

# What a candidate has that fails the gate of a kind, with the figure and a word of the reason. The champion's
# headline is far below; its captions are at 40 %.
BAD = {
    "floor": ({"tvg": 29.5}, 29.5, "test-iid/tvg/f1 29.50 < 30.00"),
    "unparsed_share": ({"unparsed": 6}, 6.0, "test-iid/dvc unparsed 6.00 > 5.00"),
    "min_n": ({"n": 49}, 49.0, "test-iid/tvg n 49 < 50"),
    "no_regression": ({"dvc": 36.5}, 3.5, "36.50 against the champion's 40.00: loss, with 95 % confidence"),
    "slice_floor": ({"slice_value": 19.0}, 19.0, "test-iid/tvg/f1, duration < 20 s 19.00 < 20.00"),
    "calibration": ({"ece": 10.5}, 10.5, "calibration error 12.00 before, 10.50 > 10.00"),
    "latency": ({"seconds": 0.25}, 0.25, "seconds a question 0.250 > 0.100"),
    "memory": ({"peak_mb": 2001.0}, 2001.0, "peak memory in MB 2001 > 2000"),
    "preference_accuracy": ({"wording": 69}, 69.0, "of 100 pairs wrong in wording, 69.00 < 70.00"),
    "data_gates": ({"failures": ("samples: expect_x does not hold",)}, 1.0, "1 do not hold: samples: exp"),
    "no_contamination": ({"found": ("a.mp4 is b.mp4 of train",)}, 1.0, "train): a.mp4 is b.mp4 of train"),
}
CHAMPION = dossier(tvg=20.0)


def test_there_is_a_case_for_every_kind():
    assert set(BAD) == set(KINDS) == {gate["gate"] for gate in GATES}


def test_a_good_candidate_passes_every_kind_of_gate():
    decision = decide(dossier(), CHAMPION, policy(*GATES))
    assert decision.promote and all(gate.passed for gate in decision.gates)
    assert len(decision.gates) == len(GATES) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_that_is_bad_in_one_way_fails_that_gate_and_passes_all_others(kind):
    changes, figure, words = BAD[kind]
    decision = decide(dossier(**changes), CHAMPION, policy(*GATES))
    assert not decision.promote
    (failed,) = [gate for gate in decision.gates if gate.passed is not True]
    assert failed.name.startswith(kind) and failed.passed is False and failed.outcome == "failed"
    assert failed.figure == pytest.approx(figure) and failed.margin is not None and failed.margin < 0
    assert words in failed.detail and failed.detail in decision.reason


AT_LIMIT = [
    (dossier(tvg=30.0), FLOOR),
    (dossier(unparsed=5), UNPARSED),
    (dossier(n=50), MIN_N),
    (dossier(slice_value=20.0), SLICES),
    (dossier(ece=10.0), CALIBRATION),
    (dossier(seconds=0.1), LATENCY),
    (dossier(peak_mb=2000.0), MEMORY),
    (dossier(wording=70), PREFERENCE),
    (dossier(dvc=37.0), REGRESSION),
]


@pytest.mark.parametrize(("candidate", "gate"), AT_LIMIT, ids=lambda value: str(value)[:30])
def test_a_figure_at_its_limit_passes(candidate, gate):
    decision = decide(candidate, CHAMPION, policy(gate))
    assert decision.gates[0].passed is True
    assert decision.gates[0].margin == pytest.approx(0.0, abs=1e-9)


UNMEASURED = {
    "clip_sums": (REGRESSION, "has no sums by clip; run `kedro run --pipelines evaluation`"),
    "slices": (SLICES, "no slices"),
    "calibration": (CALIBRATION, "the calibration study made no figure; name it in studies.run"),
    "cost": (LATENCY, "the cost study made no figure"),
    "pair_accuracy": (PREFERENCE, "0 held-out pairs are wrong in wording, 10 are needed"),
    "data_checks": (DATA_GATES, "no guard's result"),
    "contamination": (CONTAMINATION, "nothing was compared"),
}


@pytest.mark.parametrize("evidence", UNMEASURED)
def test_what_was_not_measured_is_refused_unless_the_policy_wants_it_shown(evidence):
    gate, words = UNMEASURED[evidence]
    candidate = dossier(without=(evidence,))
    refused = decide(candidate, CHAMPION, policy(gate))
    assert not refused.promote and refused.gates[0].outcome == "failed: not measured"
    assert words in refused.gates[0].detail
    shown = decide(candidate, CHAMPION, policy(gate, unmeasured="show"))
    assert shown.promote and shown.gates[0].outcome == "not measured"
    assert "1 were not measured" in shown.reason


def test_a_gate_on_no_slice_of_enough_questions_is_not_measured():
    decision = decide(dossier(slice_n=9), None, policy(SLICES))
    assert not decision.promote and "no slice has 10 questions" in decision.reason


def test_the_worst_task_is_the_slice_that_counts():
    by_task = {**SLICES, "by": "task", "task": "*", "metric": "f1", "limit": 70.0}
    (gate, *_) = decide(dossier(), None, policy(by_task)).gates
    assert gate.passed is False and gate.detail == "test-iid/tvg/f1 60.00 < 70.00"


def test_warnings_about_the_data_can_be_let_through_and_errors_cannot():
    lenient = {**DATA_GATES, "warnings": "allow"}
    assert not decide(dossier(warnings=("w",)), None, policy(DATA_GATES)).promote
    assert decide(dossier(warnings=("w",)), None, policy(lenient)).promote
    assert not decide(dossier(failures=("e",)), None, policy(lenient)).promote


def test_clips_that_nobody_could_look_for_are_no_clean_bill():
    candidate = dossier()
    unseen = candidate.contamination.model_copy(update={"unseen": 2})
    decision = decide(candidate.model_copy(update={"contamination": unseen}), None, policy(CONTAMINATION))
    assert not decision.promote and "2 of 10 scored clips are in no video table" in decision.reason


def test_a_gate_that_compares_says_so_where_there_is_no_champion():
    (gate,) = decide(dossier(), None, policy(REGRESSION)).gates
    assert (gate.passed, gate.outcome, gate.figure) == (None, "not compared", None)
    assert gate.detail == "test-iid/dvc/cap_f1 has no champion to compare with"


@pytest.mark.parametrize("gate", [REGRESSION, SLICES, MIN_N, UNPARSED, FLOOR])
def test_a_gate_on_a_task_that_was_not_scored_is_a_mistake_in_the_policy(gate):
    with pytest.raises(UserError, match=r"no such score on test-iid \(it has dvc, tvg\); mend promotion.yml"):
        decide(dossier(), None, policy({**gate, "task": "vhd"}))
