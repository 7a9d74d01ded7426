"""What each operator does to an answer, seen from outside."""

import pytest

from d2vlm_pipeline.preferences import OPERATOR_FUNCTIONS, DonorPool, Edit, NotApplicable
from d2vlm_pipeline.timeline import Interval
from preferences import samples as s

operators = OPERATOR_FUNCTIONS
shift, add, delete = operators["shift"], operators["add"], operators["delete"]
merge, distort, repeat = operators["merge"], operators["distort"], operators["repeat"]


def edits(operator, scene):
    """Edits of many draws; fails where the operator does not apply."""
    results = [operator(scene, rng) for rng in s.many()]
    assert all(isinstance(result, Edit) for result in results), results
    return results


def reason(operator, scene):
    results = {operator(scene, rng) for rng in s.many(5)}
    assert all(isinstance(result, NotApplicable) for result in results), results
    return {result.reason for result in results}


def answers(operator, scene):
    return {edit.rejected.answer_half for edit in edits(operator, scene)}


# --- shift --------------------------------------------------------------------------------------------------


def test_shift_moves_an_interval_away_from_the_truth_and_keeps_its_length_and_every_word():
    scene = s.scene(s.TVG)
    (true,) = scene.intervals
    for edit in edits(shift, scene):
        (wrong,) = edit.rejected.evidence
        assert wrong.duration_s == pytest.approx(true.duration_s, abs=0.0011)
        assert abs(wrong.start_s - true.start_s) >= 1.0
        assert wrong.iou(true) <= 0.3
        assert 0 <= wrong.start_s < wrong.end_s <= s.DURATION_S
        assert edit.rejected.segments == scene.truth.segments
        assert edit.magnitude["max_iou"] == pytest.approx(wrong.iou(true), abs=1e-4)
        assert edit.magnitude["mean_shift_s"] == pytest.approx(abs(wrong.start_s - true.start_s), abs=1e-3)
    assert len({edit.rejected.evidence for edit in edits(shift, scene)}) > 40


def test_a_shifted_interval_does_not_land_on_another_true_one():
    scene = s.scene(s.listing(3), magnitudes=s.moved("shift", 0.0, 0.1))
    for edit in edits(shift, scene):
        moved = [edit.rejected.evidence[k] for k in edit.event_ids]
        assert moved and max(wrong.iou(true) for wrong in moved for true in scene.intervals) <= 0.1
        kept = [k for k in range(3) if k not in edit.event_ids]
        assert all(edit.rejected.evidence[k] == scene.intervals[k] for k in kept)


def test_shift_keeps_a_list_in_order_of_time():
    for edit in edits(shift, s.scene(s.listing(3))):
        starts = [interval.start_s for interval in edit.rejected.evidence]
        assert starts == sorted(starts)


def test_shift_gives_up_where_the_event_fills_its_clip():
    full = s.scene(s.TVG, duration_s=5.2, magnitudes=s.moved("shift", 0.0, 0.1))
    assert reason(shift, full) == {"no room in the clip"}


def test_an_absent_event_cannot_be_shifted():
    assert reason(shift, s.scene(s.ABSENT)) == {"no events"}


# --- add, delete, merge -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "longer"),
    [
        (1, "The action happens in <evi>, and <evi>."),
        (2, "The action happens in <evi>, <evi>, and <evi>."),
        (3, "The action happens in <evi>, <evi>, <evi>, and <evi>."),
    ],
)
def test_add_writes_a_grammatical_list_with_one_interval_more(count, longer):
    scene = s.scene(s.listing(count))
    for edit in edits(add, scene):
        assert edit.rejected.answer_half == longer
        new = edit.rejected.evidence[edit.magnitude["position"]]
        assert set(edit.rejected.evidence) == {*scene.intervals, new}
        assert not any(new.intersects(true) for true in scene.intervals)
        assert new.end_s <= s.DURATION_S
        assert list(edit.rejected.evidence) == sorted(edit.rejected.evidence, key=lambda i: i.start_s)


def test_an_added_event_brings_a_caption_that_is_true_nowhere_in_the_clip():
    scene = s.scene(s.captions(2))
    said = {"a red ball leaves", "a blue star shrinks", "a white fish blinks"}
    borrowed = set()
    for edit in edits(add, scene):
        position = edit.magnitude["position"]
        spoken = edit.rejected.answer_half.split(". ")[position]
        borrowed.add(spoken.removeprefix("<evi>, ").removesuffix("."))
        kept = [caption for caption in s.CAPTIONS[:2] if f"<evi>, {caption}." in edit.rejected.answer_half]
        assert kept == list(s.CAPTIONS[:2])
    assert borrowed == said


def test_add_needs_a_gap_and_a_caption_to_borrow():
    assert reason(add, s.scene(s.listing(1), duration_s=5.5, min_shift_s=2.5)) == {"no room in the clip"}
    nothing_else = DonorPool.of([s.captions(2)])
    assert reason(add, s.scene(s.captions(2), pool=nothing_else)) == {"no other words to borrow"}


def test_delete_drops_some_but_not_all_and_captions_go_with_their_events():
    scene = s.scene(s.captions(3))
    for edit in edits(delete, scene):
        kept = [k for k in range(3) if k not in edit.event_ids]
        assert 1 <= len(kept) <= 2
        assert edit.rejected.evidence == tuple(scene.intervals[k] for k in kept)
        assert edit.rejected.answer_half == " ".join(f"<evi>, {s.CAPTIONS[k]}." for k in kept)


def test_delete_leaves_a_grammatical_list():
    assert answers(delete, s.scene(s.listing(3))) == {
        "The action happens in <evi>, and <evi>.",
        "The action happens in <evi>.",
    }


def test_merge_joins_two_neighbours_with_their_captions():
    assert answers(merge, s.scene(s.captions(2))) == {"<evi>, a red ball enters and a blue star grows."}
    for edit in edits(merge, s.scene(s.captions(3))):
        first, second = edit.event_ids
        assert second == first + 1
        hull = Interval(start_s=s.SPANS[first][0], end_s=s.SPANS[second][1])
        assert edit.rejected.evidence[first] == hull
        assert len(edit.rejected.evidence) == 2


def test_merging_an_event_with_one_inside_it_would_only_delete_it():
    nested = s.listing(2).model_dump()
    nested["events"][1].update(start_s=3.0, end_s=4.0)
    assert reason(merge, s.scene(s.Sample(**nested))) == {"one event lies inside the other"}


@pytest.mark.parametrize("operator", [delete, merge])
def test_delete_and_merge_need_two_events(operator):
    assert reason(operator, s.scene(s.listing(1))) == {"fewer than two events"}


@pytest.mark.parametrize("operator", [add, delete, merge])
def test_an_answer_of_unknown_form_is_left_alone(operator):
    four = [s.Event(start_s=k, end_s=k + 0.5) for k in range(4)]
    changing_separators = s.sample("tal", "<evi>, <evi>; also <evi> and <evi>.", events=four)
    without_captions = s.sample("dvc", "<evi> <evi>", 2)
    for strange in (changing_separators, without_captions):
        assert reason(operator, s.scene(strange)) == {"answer form not recognised"}


# --- distort, repeat ----------------------------------------------------------------------------------------


def test_distort_swaps_one_caption_for_a_near_miss_and_leaves_times_alone():
    scene = s.scene(s.captions(2))
    wrong = answers(distort, scene)
    assert "<evi>, a red ball leaves. <evi>, a blue star grows." in wrong
    for edit in edits(distort, scene):
        assert edit.rejected.evidence == scene.intervals
        (k,) = edit.event_ids
        said = [part.rstrip(".") for part in edit.rejected.answer_half.split("<evi>, ")[1:]]
        assert said[k].strip(" .") != s.CAPTIONS[k]
        assert said[1 - k].strip(" .") == s.CAPTIONS[1 - k]


def test_distort_never_borrows_what_is_true_at_that_time():
    overlapping = s.captions(2).model_copy(
        update={
            "id": "clip_1/slc/0",
            "events": (s.Event(start_s=2.5, end_s=4.0, caption="a red ball leaves"), s.events(2)[1]),
        }
    )
    scene = s.scene(s.captions(1), pool=s.donors(overlapping))
    assert not any("a red ball leaves" in answer for answer in answers(distort, scene))


def test_distort_puts_another_whole_option():
    scene = s.scene(s.choice("gvq", 1))
    assert answers(distort, scene) == {
        f"({letter}) {word}. The relevant event happens in <evi>."
        for letter, word in (("A", "red"), ("C", "green"), ("D", "white"))
    }
    assert {
        (edit.magnitude["option_from"], edit.magnitude["option_to"]) for edit in edits(distort, scene)
    } == {
        (1, 0),
        (1, 2),
        (1, 3),
    }


def test_distort_may_change_the_words_of_an_option_and_keep_its_letter():
    scene = s.scene(s.choice("rvq"), option_distort="words")
    assert answers(distort, scene) == {"(B) red.", "(B) green.", "(B) white."}


def test_distort_of_an_open_answer_borrows_one_to_the_same_kind_of_question():
    ours = s.sample("gvq", "The small bag. It happens in <evi>.", 1)
    theirs = ours.model_copy(update={"id": "x", "answer": "The large basket. That is in <evi>."})
    scene = s.scene(ours, pool=DonorPool.of([ours, theirs]))
    assert answers(distort, scene) == {"The large basket. It happens in <evi>."}
    assert reason(distort, s.scene(ours, pool=DonorPool.of([ours]))) == {"no other words to borrow"}


def test_a_borrowed_caption_takes_the_case_of_the_one_it_replaces():
    assert all(answer[0] == "A" and answer.endswith(".") for answer in answers(distort, s.scene(s.RVC)))


def test_repeat_copies_one_caption_over_others():
    assert answers(repeat, s.scene(s.captions(2))) == {
        "<evi>, a red ball enters. <evi>, a red ball enters.",
        "<evi>, a blue star grows. <evi>, a blue star grows.",
    }


def test_repeat_says_a_lone_caption_again():
    once, twice = (
        "a red ball enters, a red ball enters",
        "a red ball enters, a red ball enters, a red ball enters",
    )
    assert answers(repeat, s.scene(s.captions(1))) == {f"<evi>, {once}.", f"<evi>, {twice}."}
    assert answers(repeat, s.scene(s.RVC)) == {
        "A red ball enters. A red ball enters.",
        "A red ball enters. A red ball enters. A red ball enters.",
    }
