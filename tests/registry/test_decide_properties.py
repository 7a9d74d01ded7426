"""What holds for every policy and every dossier."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import Dossier, Policy, decide, policy_of
from registry.records import dossier

PERCENT = st.floats(min_value=0, max_value=100).map(lambda value: round(value, 3))
COUNT = st.integers(min_value=0, max_value=100)
LINES = st.sampled_from([(), ("first",), ("first", "second")])
PLACE = {
    "split": st.sampled_from(["test-iid", "test-iid", "test-iid", "val"]),
    "task": st.sampled_from(["tvg", "dvc", "*", "vhd"]),
}
METRIC = st.sampled_from(["f1", "cap_f1", "miou"])


def gate(kind: str, **fields):
    return st.fixed_dictionaries({"gate": st.just(kind), **fields})


RULES = st.one_of(
    gate("floor", **PLACE, metric=METRIC, limit=PERCENT),
    gate("slice_floor", **PLACE, metric=METRIC, by=st.sampled_from(["duration", "events"]), limit=PERCENT),
    gate("slice_floor", **{**PLACE, "task": st.just("*")}, metric=METRIC, by=st.just("task"), limit=PERCENT),
    gate("unparsed_share", **PLACE, limit=PERCENT),
    gate("min_n", **PLACE, n=st.integers(1, 120)),
    gate("no_regression", **PLACE, metric=METRIC, limit=PERCENT, resamples=st.just(20)),
    gate("calibration", limit=PERCENT),
    gate("latency", limit_s=st.floats(0.001, 1.0)),
    gate("memory", limit_mb=st.floats(1.0, 4000.0)),
    gate("preference_accuracy", factor=st.sampled_from(["interval", "event", "wording"]), limit=PERCENT),
    gate("data_gates", warnings=st.sampled_from(["refuse", "allow"])),
    gate("no_contamination"),
)
POLICIES = st.fixed_dictionaries(
    {
        "headline": st.just({"split": "test-iid", "task": "tvg", "metric": "f1"}),
        "min_gain": st.sampled_from([0.0, 0.5, 5.0]),
        "unmeasured": st.sampled_from(["refuse", "show"]),
        "gates": st.lists(RULES, max_size=6),
    }
).map(lambda record: policy_of(record, "promotion.yml"))
EVIDENCE = ("clip_sums", "slices", "calibration", "cost", "pair_accuracy", "data_checks", "contamination")
FIGURES = st.fixed_dictionaries(
    {
        "tvg": st.one_of(st.none(), PERCENT),
        "dvc": PERCENT,
        "unparsed": COUNT,
        "n": st.integers(1, 100),
        "slice_value": PERCENT,
        "slice_n": COUNT,
        "ece": PERCENT,
        "seconds": st.floats(0.0, 2.0),
        "peak_mb": st.floats(0.0, 5000.0),
        "wording": COUNT,
        "failures": LINES,
        "warnings": LINES,
        "found": LINES,
        "without": st.lists(st.sampled_from(EVIDENCE), unique=True, max_size=2).map(tuple),
        "data": st.sampled_from([{"world": "w1"}, {"world": "w1"}, {"world": "w2"}]),
    }
)
CHAMPIONS = st.one_of(st.none(), FIGURES)


def made(figures: dict | None) -> Dossier | None:
    return None if figures is None else dossier(**figures)


def verdict(candidate: Dossier, champion: Dossier | None, policy: Policy):
    """The decision; where the policy names what was not scored, nothing to look at."""
    try:
        return decide(candidate, champion, policy)
    except UserError as error:
        assert "\n" not in str(error) and "mend promotion.yml" in str(error)
        assume(False)


@settings(max_examples=80, deadline=None)
@given(FIGURES, CHAMPIONS, POLICIES)
def test_the_alias_moves_exactly_where_no_gate_fails_and_the_headline_holds(figures, held, policy):
    candidate, champion = dossier(**figures), made(held)
    decision = verdict(candidate, champion, policy)
    judged = decision.gates[: len(policy.gates)]
    headline_holds = True
    if champion is not None and champion.scores.data == candidate.scores.data:
        ours, theirs = figures["tvg"], held["tvg"]
        gain = None if ours is None or theirs is None else ours - theirs
        headline_holds = ours is not None if gain is None else gain > 0 and gain >= policy.min_gain
    assert decision.promote == (headline_holds and all(gate.passed is not False for gate in judged))
    assert decision.reason.startswith(f"alias champion {'moves' if decision.promote else 'stays'}")
    for gate_ in judged:
        assert (gate_.margin is None) == (gate_.figure is None)
        if gate_.margin is not None:
            assert gate_.passed is (gate_.margin >= 0)
        elif not gate_.measured:
            assert gate_.passed is (False if policy.unmeasured == "refuse" else None)


@settings(max_examples=30, deadline=None)
@given(FIGURES, CHAMPIONS, POLICIES)
def test_the_same_question_has_the_same_answer(figures, held, policy):
    first = verdict(dossier(**figures), made(held), policy)
    again = decide(
        Dossier.model_validate_json(dossier(**figures).model_dump_json()),
        made(held),
        Policy.model_validate_json(policy.model_dump_json()),
    )
    assert again == first


UP = {"tvg": 100.0, "dvc": 100.0, "n": 100, "slice_value": 100.0, "wording": 100}
DOWN = {"unparsed": 0, "ece": 0.0, "seconds": 0.0, "peak_mb": 0.0}
NONE = {"failures": (), "warnings": (), "found": ()}


@settings(max_examples=80, deadline=None)
@given(FIGURES, CHAMPIONS, POLICIES, st.sampled_from([*UP, *DOWN, *NONE]), st.floats(0, 1))
def test_a_better_figure_never_turns_a_pass_into_a_failure(figures, held, policy, name, share):
    before = verdict(dossier(**figures), made(held), policy)
    best, now = {**UP, **DOWN, **NONE}[name], figures[name]
    better = best if now is None or name in NONE else now + share * (best - now)
    if isinstance(best, int) and not isinstance(best, bool):
        better = round(better)
    after = decide(dossier(**{**figures, name: better}), made(held), policy)
    for was, is_ in zip(before.gates, after.gates, strict=True):
        assert not (was.passed is True and is_.passed is False), (was, is_)
    assert after.promote or not before.promote


def test_a_policy_without_gates_leaves_it_to_the_headline():
    rules = policy_of({"headline": {"split": "test-iid", "task": "tvg", "metric": "f1"}, "gates": []}, "p")
    assert decide(dossier(tvg=2.0), dossier(tvg=1.0), rules).promote
    assert not decide(dossier(tvg=1.0), dossier(tvg=1.0), rules).promote


@pytest.mark.parametrize("name", ["headline", "compare_data"])
def test_what_a_policy_names_in_vain_is_told_in_one_line(name):
    wrong = {"headline": {"split": "x", "task": "tvg", "metric": "f1"}, "compare_data": ["weather"]}
    headline = {"split": "test-iid", "task": "tvg", "metric": "f1"}
    record = {"headline": headline, "gates": [], name: wrong[name]}
    with pytest.raises(UserError, match=r"mend promotion\.yml") as error:
        decide(dossier(), None, policy_of(record, "p"))
    assert "\n" not in str(error.value)
