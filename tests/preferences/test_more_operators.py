"""Resized, split, reordered; another option; evidence and text of something else."""

import pytest

from d2vlm_pipeline.preferences import OPERATOR_FUNCTIONS, DonorPool, Edit, NotApplicable
from d2vlm_pipeline.timeline import Interval
from preferences import samples as s


def edits(operator: str, scene):
    results = [OPERATOR_FUNCTIONS[operator](scene, rng) for rng in s.many()]
    assert all(isinstance(result, Edit) for result in results), results
    return results


def reasons(operator: str, scene):
    results = {OPERATOR_FUNCTIONS[operator](scene, rng) for rng in s.many(5)}
    assert all(isinstance(result, NotApplicable) for result in results), results
    return {result.reason for result in results}


def answers(operator: str, scene):
    return {edit.rejected.answer_half for edit in edits(operator, scene)}


# --- boundaries ---------------------------------------------------------------------------------------------


def test_resize_nests_the_true_and_the_wrong_interval_both_ways():
    scene = s.scene(s.TVG)
    (true,) = scene.intervals
    longer = 0
    for edit in edits("resize", scene):
        (wrong,) = edit.rejected.evidence
        inner, outer = sorted((true, wrong), key=lambda interval: interval.duration_s)
        assert outer.start_s <= inner.start_s + 0.002 and inner.end_s <= outer.end_s + 0.002
        assert 0.3 <= wrong.iou(true) <= 0.7
        assert edit.magnitude["mean_resize_s"] == pytest.approx(
            abs(wrong.duration_s - true.duration_s), abs=1e-3
        )
        longer += wrong is outer
    assert 5 < longer < 45


def test_a_short_event_is_only_made_longer():
    # Two seconds and a smallest move of one: within the band there is nothing shorter left.
    short = s.sample("tvg", "In <evi>.", events=[s.Event(start_s=10.0, end_s=12.0)])
    scene = s.scene(short, magnitudes=s.moved("resize", 0.55, 0.7), min_shift_s=1.0)
    assert all(edit.rejected.evidence[0].duration_s > 2.0 for edit in edits("resize", scene))


def test_wrong_evidence_goes_to_what_else_happens_in_the_clip():
    """The other two events of the clip are known; one of them is where the wrong evidence points."""
    scene = s.scene(s.choice("gvq", 1))
    elsewhere = {Interval(start_s=a, end_s=b) for a, b in s.SPANS[1:]}
    found = {edit.rejected.evidence[0] for edit in edits("wrong_evidence", scene)}
    assert found == elsewhere
    assert answers("wrong_evidence", scene) == {scene.truth.answer_half}


def test_wrong_evidence_is_invented_where_nothing_else_is_known():
    alone = s.scene(s.TVG, pool=DonorPool.of([s.TVG]))
    found = edits("wrong_evidence", alone)
    assert all(edit.rejected.evidence[0].iou(alone.intervals[0]) <= 0.3 for edit in found)
    assert len({edit.rejected.evidence[0].duration_s for edit in found}) > 10


# --- event set ----------------------------------------------------------------------------------------------


def test_split_makes_adjoining_pieces_with_the_same_caption():
    scene = s.scene(s.captions(2))
    for edit in edits("split", scene):
        (k,) = edit.event_ids
        first, second = edit.rejected.evidence[k : k + 2]
        whole = scene.intervals[k]
        assert (first.start_s, second.end_s) == (whole.start_s, whole.end_s)
        assert first.end_s == second.start_s
        shortest_s = min(first.duration_s, second.duration_s)
        assert shortest_s >= 0.999 and edit.magnitude["shortest_s"] == pytest.approx(shortest_s, abs=1e-3)
    assert answers("split", scene) == {
        f"<evi>, {s.CAPTIONS[0]}. <evi>, {s.CAPTIONS[0]}. <evi>, {s.CAPTIONS[1]}.",
        f"<evi>, {s.CAPTIONS[0]}. <evi>, {s.CAPTIONS[1]}. <evi>, {s.CAPTIONS[1]}.",
    }


def test_split_leaves_what_is_too_short():
    short = s.sample("tal", "In <evi>.", events=[s.Event(start_s=1.0, end_s=2.9)])
    assert reasons("split", s.scene(short)) == {"events too short to take apart"}


def test_reorder_moves_events_with_their_captions():
    scene = s.scene(s.captions(3))
    by_interval = dict(zip(scene.intervals, s.CAPTIONS, strict=True))
    orders = set()
    for edit in edits("reorder", scene):
        said = [by_interval[interval] for interval in edit.rejected.evidence]
        assert edit.rejected.answer_half == " ".join(f"<evi>, {caption}." for caption in said)
        order = tuple(int(k) for k in edit.magnitude["order"].split())
        assert edit.rejected.evidence == tuple(scene.intervals[k] for k in order)
        assert edit.event_ids == tuple(k for k, source in enumerate(order) if k != source)
        orders.add(order)
    assert orders == {(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1)}


def test_events_at_one_time_cannot_be_reordered():
    twins = s.sample(
        "tal", "In <evi>, and <evi>.", events=[s.Event(start_s=1.0, end_s=2.0)] * 2, id="twins"
    )
    assert reasons("reorder", s.scene(twins)) == {"events are all alike"}


# --- words --------------------------------------------------------------------------------------------------


def test_another_option_comes_with_its_letter_and_is_recorded_as_one():
    scene = s.scene(s.choice("mcq"))
    assert answers("swap_option", scene) == {"(A) red.", "(C) green.", "(D) white."}
    for edit in edits("swap_option", scene):
        assert edit.axis == "option"
        assert edit.magnitude["words"] == scene.sample.options[edit.magnitude["option_to"]]


def test_a_letter_alone_is_swapped_alone():
    lone = s.choice("mcq").model_copy(update={"answer": "(B)"})
    assert answers("swap_option", s.scene(lone)) == {"(A)", "(C)", "(D)"}
    assert all("words" not in edit.magnitude for edit in edits("swap_option", s.scene(lone)))


@pytest.mark.parametrize("answer", ["blue", "(A) blue.", "(B) something else"])
def test_an_option_in_another_form_is_left_alone(answer):
    strange = s.choice("mcq").model_copy(update={"answer": answer})
    assert reasons("swap_option", s.scene(strange)) == {"answer form not recognised"}


def test_wrong_text_says_what_is_true_at_another_time_of_the_clip():
    scene = s.scene(s.captions(1, task="dvc"))
    assert answers("wrong_text", scene) == {f"<evi>, {caption}." for caption in s.CAPTIONS[1:]}
    assert {edit.rejected.evidence for edit in edits("wrong_text", scene)} == {scene.intervals}


def test_wrong_text_denies_evidence_in_words_that_are_said_of_absent_events():
    (denied,) = answers("wrong_text", s.scene(s.TVG))
    assert denied == s.ABSENT.answer
    for edit in edits("wrong_text", s.scene(s.TVG)):
        assert edit.rejected.evidence == s.scene(s.TVG).intervals
    assert reasons("wrong_text", s.scene(s.TVG, pool=DonorPool.of([s.TVG]))) == {"no other words to borrow"}


# --- how much -----------------------------------------------------------------------------------------------


def test_counts_ask_for_as_many_events():
    def counted(operator, **magnitude):
        return edits(operator, s.scene(s.captions(3), magnitudes={operator: magnitude}))

    assert {len(edit.rejected.evidence) for edit in counted("add", low=2, high=2)} == {5}
    assert {len(edit.rejected.evidence) for edit in counted("delete", low=2, high=2)} == {1}
    assert {len(edit.rejected.evidence) for edit in counted("merge", low=3, high=3)} == {1}
    assert {len(edit.rejected.evidence) for edit in counted("split", low=3, high=3)} == {5}
    assert {len(edit.event_ids) for edit in counted("reorder", low=3, high=3)} == {3}
    assert {len(edit.event_ids) for edit in counted("distort", low=2, high=2)} == {2}


def test_what_an_answer_has_too_few_events_for_is_a_reason():
    scene = s.scene(s.captions(2), magnitudes={"merge": {"low": 3, "high": 3}})
    assert reasons("merge", scene) == {"fewer events than the magnitude asks for"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shift": {"iou": [{"low": 0.5, "high": 0.3}]}}, "low must be below high"),
        ({"merge": {"low": 1, "high": 2}}, "merge: low must be at least 2"),
        ({"repeat": {"times": {"low": 1}}}, "times: high must be given"),
        ({"shift": {"iou": []}}, "at least 1 item"),
        ({"shft": {}}, "Extra inputs"),
    ],
)
def test_impossible_magnitudes_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        s.scene(s.TVG, magnitudes=given)
