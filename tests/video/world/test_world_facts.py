"""The facts that the certificate rests on, on clips whose facts are known by hand."""

import pytest

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video.world.certificate import (
    event_shares,
    is_test_only,
    lone_object,
    near_misses,
    nests_events,
    overlaps_events,
    repeats_event,
    sampled_frames,
)
from d2vlm_pipeline.video.world.vocabulary import Query, Triple, near_miss, partial_queries, query_phrase
from d2vlm_pipeline.video.world.wording import QUESTIONS
from video.world.scenes import RED_BALL_GROWS, event, scene

BLUE_BALL_GROWS = Triple("blue", "ball", "grow")
BLUE_STAR_BLINKS = Triple("blue", "star", "blink")


def test_an_event_of_4_s_fills_a_fifth_of_20_s() -> None:
    assert event_shares(scene(event(start_s=2.0, end_s=6.0), event(start_s=8.0, end_s=18.0))) == [0.2, 0.5]


def test_sampled_frames_are_those_whose_time_lies_in_the_event() -> None:
    plan = scene(event(start_s=2.0, end_s=3.5), event(start_s=3.6, end_s=3.9))
    assert sampled_frames(plan, SamplingPolicy(fps=2.0)) == [3, 0]
    assert sampled_frames(plan, SamplingPolicy(fps=10.0)) == [15, 3]


def test_two_attributes_of_three_make_a_near_miss() -> None:
    assert near_miss(RED_BALL_GROWS, BLUE_BALL_GROWS)
    assert not near_miss(RED_BALL_GROWS, BLUE_STAR_BLINKS) and not near_miss(RED_BALL_GROWS, RED_BALL_GROWS)
    plan = scene(*map(event, (RED_BALL_GROWS, BLUE_BALL_GROWS, BLUE_STAR_BLINKS, RED_BALL_GROWS)))
    assert near_misses(plan) == [1, 2, 0, 1]


@pytest.mark.parametrize(
    "start_s, end_s, overlaps, nests",
    [(7.0, 9.0, False, False), (6.0, 9.0, False, False), (5.9, 9.0, True, False), (3.0, 5.0, True, True)],
)
def test_overlap_and_nesting_are_told_apart(
    start_s: float, end_s: float, overlaps: bool, nests: bool
) -> None:
    events = event(start_s=2.0, end_s=6.0), event(BLUE_BALL_GROWS, start_s=start_s, end_s=end_s)
    for plan in (scene(*events), scene(*events[::-1])):
        assert (overlaps_events(plan), nests_events(plan)) == (overlaps, nests)
        assert not repeats_event(plan)


def test_a_triple_that_comes_back_is_a_repeat() -> None:
    assert repeats_event(scene(event(), event(BLUE_BALL_GROWS), event(start_s=9.0, end_s=12.0)))


def test_an_object_alone_and_inside_is_found_with_its_cell() -> None:
    shown = lone_object(scene(event(spot_x=0.5, lane_y=0.4)), 4.0)
    assert shown is not None and (shown.triple, shown.x, shown.y) == (RED_BALL_GROWS, 0.5, 0.4)
    assert shown.cell == 4
    assert shown.clearance == pytest.approx(0.4 - 1 / 3)


@pytest.mark.parametrize("x, y, cell", [(0.28, 0.30, 0), (0.6, 0.30, 1), (0.72, 0.30, 2), (0.3, 0.68, 6)])
def test_cells_are_counted_row_by_row(x: float, y: float, cell: int) -> None:
    shown = lone_object(scene(event(spot_x=x, lane_y=y)), 3.0)
    assert shown is not None and shown.cell == cell


@pytest.mark.parametrize("time_s", [1.0, 2.0, 6.0, 10.0])
def test_an_object_that_is_not_there_or_on_a_ramp_is_not_found(time_s: float) -> None:
    assert lone_object(scene(event()), time_s) is None


def test_an_object_across_the_edge_is_not_found() -> None:
    crossing = scene(event(Triple("red", "car", "cross_right")))
    found = [lone_object(crossing, 2.2 + 0.2 * step) is not None for step in range(19)]
    assert not found[0] and not found[-1] and found[9]


def test_of_two_objects_neither_is_found_until_one_has_gone() -> None:
    plan = scene(event(), event(Triple("blue", "ball", "blink"), start_s=2.0, end_s=4.0, ramp_out_s=0.8))
    assert lone_object(plan, 3.0) is None and lone_object(plan, 4.3) is None
    shown = lone_object(plan, 4.5)
    assert shown is not None and shown.triple == RED_BALL_GROWS


def test_wordings_kept_for_test_splits_are_recognised() -> None:
    for wordings in QUESTIONS.values():
        filled = [
            wording.format_map(dict.fromkeys(("query", "noun", "rest"), "a red ball")) for wording in wordings
        ]
        assert [is_test_only(question) for question in filled] == [False] * 4 + [True] * 2


def test_descriptions_go_from_short_to_full_and_all_fit() -> None:
    queries = partial_queries(RED_BALL_GROWS)
    assert [query.named for query in queries] == [1, 1, 1, 2, 2, 2, 3]
    assert len(set(queries)) == 7 and all(query.matches(RED_BALL_GROWS) for query in queries)
    assert [query.matches(BLUE_BALL_GROWS) for query in queries] == [
        query.colour is None for query in queries
    ]


@pytest.mark.parametrize(
    "query, phrase",
    [
        (Query("red", "ball", "enter"), "a red ball enters"),
        (Query("red", None, "bounce"), "something red bounces"),
        (Query(None, "ball", None), "a ball appears"),
        (Query(None, None, "cross_left"), "something crosses to the left"),
    ],
)
def test_a_description_in_words(query: Query, phrase: str) -> None:
    assert query_phrase(query) == phrase
