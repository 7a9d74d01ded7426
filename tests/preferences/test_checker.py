"""The checker sees every axis that differs, and nothing else."""

import pytest

from d2vlm_pipeline.preferences import OPERATOR_VERSION, check_pair, differing_axes
from d2vlm_pipeline.timeline import (
    FactorRecord,
    GroundedResponse,
    Interval,
    PreferencePair,
    TimeBase,
    split_answer,
)
from preferences import samples as s

TRUE = tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in s.SPANS)
ELSEWHERE = Interval(start_s=25.0, end_s=28.0)
HULL = Interval(start_s=2.0, end_s=12.0)


def response(intervals, answer: str) -> GroundedResponse:
    return GroundedResponse(evidence=tuple(intervals), segments=split_answer(answer))


def said(*captions: str) -> str:
    return " ".join(f"<evi>, {caption}." for caption in captions)


RED, BLUE, GREEN = s.CAPTIONS
DVC = s.captions(3)
TAL = s.listing(3)


@pytest.mark.parametrize(
    ("intervals", "answer", "axes"),
    [
        ((TRUE[0], ELSEWHERE, TRUE[2]), said(RED, BLUE, GREEN), {"boundaries"}),
        (TRUE, said(RED, "a white fish blinks", GREEN), {"text"}),
        (TRUE, said(RED, RED, GREEN), {"text"}),
        (TRUE[:2], said(RED, BLUE), {"event_set"}),
        ((*TRUE, ELSEWHERE), said(RED, BLUE, GREEN, "a white fish blinks"), {"event_set"}),
        ((HULL, TRUE[2]), said(f"{RED} and {BLUE}", GREEN), {"event_set"}),
        ((TRUE[1], TRUE[0], TRUE[2]), said(BLUE, RED, GREEN), {"event_set"}),
        # Two things at once are seen as two.
        ((TRUE[0], ELSEWHERE, TRUE[2]), said(RED, "a fish", GREEN), {"boundaries", "text"}),
        (TRUE[:2], said(RED, GREEN), {"event_set", "text"}),
        ((TRUE[0], ELSEWHERE), said(RED, GREEN), {"event_set", "boundaries"}),
        ((TRUE[0], ELSEWHERE), said(RED, "a fish"), {"event_set", "boundaries", "text"}),
        ((*TRUE[:2], ELSEWHERE, ELSEWHERE), said(RED, BLUE, GREEN, RED), {"event_set", "boundaries"}),
        ((HULL, TRUE[2]), said(RED, GREEN), {"event_set", "text"}),
        ((TRUE[1], TRUE[0], TRUE[2]), said(RED, BLUE, GREEN), {"event_set", "text"}),
        (
            (Interval(start_s=2.0, end_s=13.0), TRUE[2]),
            said(f"{RED} and {BLUE}", GREEN),
            {"event_set", "boundaries"},
        ),
        ((*TRUE, ELSEWHERE), "Note: " + said(RED, BLUE, GREEN, "a fish"), {"event_set", "text"}),
    ],
)
def test_axes_of_a_caption_answer(intervals, answer, axes):
    assert differing_axes(DVC.response(), response(intervals, answer), DVC) == axes


@pytest.mark.parametrize(
    ("intervals", "answer", "axes"),
    [
        (TRUE[:1], "The action happens in <evi>.", {"event_set"}),
        ((HULL, TRUE[2]), "The action happens in <evi>, and <evi>.", {"event_set"}),
        (TRUE[:1], "The thing happens in <evi>.", {"event_set", "text"}),
        (TRUE[:2], "The action happens in <evi>, or perhaps <evi>.", {"event_set", "text"}),
        (TRUE[:1], "The action happens in <evi>. Twice.", {"event_set", "text"}),
        ((ELSEWHERE, *TRUE[1:]), "The action happens in <evi>, <evi>, and <evi>.", {"boundaries"}),
    ],
)
def test_axes_of_a_list_answer(intervals, answer, axes):
    assert differing_axes(TAL.response(), response(intervals, answer), TAL) == axes


@pytest.mark.parametrize(
    ("answer", "axes"),
    [
        ("(A) blue. The relevant event happens in <evi>.", {"option"}),
        ("(B) red. The relevant event happens in <evi>.", {"text"}),
        ("(A) red. The relevant event happens in <evi>.", {"option", "text"}),
        ("blue. The relevant event happens in <evi>.", {"option", "text"}),
    ],
)
def test_axes_of_a_choice(answer, axes):
    gvq = s.choice("gvq", 1)
    assert differing_axes(gvq.response(), response(TRUE[:1], answer), gvq) == axes


SHIFT = {"event_ids": (0,), "magnitude": {"events": 1, "mean_shift_s": 23.0, "max_iou": 0.0}}


def pair(sample, rejected, operator="shift", axis="boundaries", chosen=None, **factor) -> PreferencePair:
    factor = (SHIFT if operator == "shift" else {}) | factor
    return PreferencePair(
        id="p",
        sample_id=sample.id,
        chosen=chosen or sample.response(),
        rejected=rejected,
        factors=(FactorRecord(operator=operator, axis=axis, **factor),),
        seed=0,
        operator_version=OPERATOR_VERSION,
    )


SHIFTED = response([ELSEWHERE], "The event happens in <evi>.")


def test_a_sound_pair_has_no_problems():
    assert check_pair(pair(s.TVG, SHIFTED), s.TVG, duration_s=30.0) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"axis": "text"}, "differs in boundaries, which no factor records"),
        ({"axis": "text"}, "records text, in which the sides agree"),
        ({"axis": "text"}, "shift records axis text instead of boundaries"),
        ({"operator": "resizing"}, "unknown operator resizing"),
        ({"operator": "merge", "axis": "event_set"}, "merge is not for task tvg"),
        ({"event_ids": (1,)}, "touches event 1, which the answer does not have"),
        ({"chosen": response([HULL], "The event happens in <evi>.")}, "chosen is not the truth"),
    ],
)
def test_each_fault_is_named(changed, problem):
    assert problem in check_pair(pair(s.TVG, SHIFTED, **changed), s.TVG)


def test_an_interval_past_the_end_of_the_clip_is_a_fault():
    assert check_pair(pair(s.TVG, SHIFTED), s.TVG, duration_s=27.0) == ["interval ends at 28.0 s of 27.0 s"]


def test_a_pair_about_another_sample_is_a_fault():
    assert check_pair(pair(s.TVG, SHIFTED), s.ABSENT) == [f"about sample {s.TVG.id}, not {s.ABSENT.id}"]


def test_another_operator_version_is_a_fault():
    old = pair(s.TVG, SHIFTED).model_copy(update={"operator_version": "0"})
    assert check_pair(old, s.TVG) == ["operator version 0, this is version 1"]


def test_the_option_counts_as_recorded_only_where_the_magnitude_names_it():
    gvq = s.choice("gvq", 1)
    swapped = response(TRUE[:1], "(A) red. The relevant event happens in <evi>.")
    named = pair(gvq, swapped, "distort", "text", magnitude={"option_from": 1, "option_to": 0})
    assert check_pair(named, gvq) == []
    assert check_pair(pair(gvq, swapped, "distort", "text"), gvq) == [
        "differs in option, which no factor records"
    ]


def test_a_shift_that_vanishes_on_the_sampled_frames_is_a_fault():
    coarse = TimeBase(times_s=(0.0, 10.0, 20.0), duration_s=30.0, fps_src=10.0, policy_digest="p")
    nearby = response([Interval(start_s=3.0, end_s=6.0)], "The event happens in <evi>.")
    near = {"events": 1, "mean_shift_s": 1.0, "max_iou": 0.5}
    assert check_pair(pair(s.TVG, nearby, magnitude=near), s.TVG, timebase=coarse) == [
        "chosen and rejected are the same on the sampled frames"
    ]
    assert check_pair(pair(s.TVG, SHIFTED), s.TVG, timebase=coarse) == []
