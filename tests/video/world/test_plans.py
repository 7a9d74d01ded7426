"""Plans: every clip is what the tier promises, whatever the seed."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.video.world import ClipPlan, SplitSizes, WorldConfig, plan_world
from d2vlm_pipeline.video.world.certificate import overlaps_events, repeats_event
from video.world.scenes import small_world

seeds = st.integers(min_value=0, max_value=2**32)


@given(seeds)
def test_events_lie_inside_their_clip_with_both_ramps_and_have_the_tier_s_length(seed: int) -> None:
    config = small_world(seed)
    for plan in plan_world(config):
        assert config.min_duration_s - 1 / plan.fps <= plan.duration_s <= config.max_duration_s
        assert config.min_events <= len(plan.events) <= config.max_events
        for event in plan.events:
            assert event.start_s - event.ramp_in_s / 2 >= 0
            assert event.end_s + event.ramp_out_s / 2 <= plan.duration_s
            # Planned times are rounded to milliseconds.
            assert config.min_event_s - 0.002 <= event.end_s - event.start_s <= config.max_event_s + 0.002
            assert 0.3 <= event.ramp_in_s <= 0.8 and 0.3 <= event.ramp_out_s <= 0.8


@given(seeds)
def test_a_clip_lasts_a_whole_number_of_frames(seed: int) -> None:
    for plan in plan_world(small_world(seed)):
        frames = plan.duration_s * plan.fps
        assert frames == pytest.approx(round(frames), abs=1e-6)


@given(seeds)
def test_every_event_has_a_near_miss_in_its_clip(seed: int) -> None:
    for plan in plan_world(small_world(seed)):
        triples = [event.triple for event in plan.events]
        for triple in triples:
            shared = [sum(a == b for a, b in zip(triple, other, strict=True)) for other in triples]
            assert 2 in shared


@given(seeds)
def test_at_most_one_description_repeats_and_at_most_four_times(seed: int) -> None:
    for plan in plan_world(small_world(seed)):
        triples = [event.triple for event in plan.events]
        repeats = [triples.count(triple) for triple in set(triples) if triples.count(triple) > 1]
        assert len(repeats) <= 1 and max(repeats, default=1) <= 4


@given(seeds)
def test_events_at_the_same_time_have_lanes_of_their_own(seed: int) -> None:
    for plan in plan_world(small_world(seed)):
        for a, b in combinations(plan.events, 2):
            if max(a.start_s, b.start_s) < min(a.end_s, b.end_s):
                assert abs(a.lane_y - b.lane_y) > 0.2


@given(seeds)
def test_cuts_are_no_event_boundaries(seed: int) -> None:
    for plan in plan_world(small_world(seed)):
        edges = [edge for event in plan.events for edge in (event.start_s, event.end_s)]
        assert len(plan.nuisance.backgrounds) == len(plan.nuisance.cuts_s) + 1
        assert list(plan.nuisance.cuts_s) == sorted(plan.nuisance.cuts_s)
        for cut_s in plan.nuisance.cuts_s:
            assert 0 < cut_s < plan.duration_s
            assert min(abs(cut_s - edge) for edge in edges) > 0.99


@given(seeds)
def test_a_clip_depends_on_the_seed_and_its_own_name_alone(seed: int) -> None:
    few = {plan.clip_id: plan for plan in plan_world(small_world(seed, train=2))}
    many = {plan.clip_id: plan for plan in plan_world(small_world(seed, train=5))}
    assert few.items() <= many.items()
    assert few["train-0000"] != few["train-0001"]


@given(seeds)
def test_another_seed_is_another_world(seed: int) -> None:
    one, other = small_world(seed), small_world(seed + 1)
    assert one.digest != other.digest
    assert plan_world(one)[0].events != plan_world(other)[0].events


def test_a_plan_survives_writing() -> None:
    for plan in plan_world(small_world()):
        assert ClipPlan.model_validate_json(plan.model_dump_json()) == plan


def test_every_clip_belongs_to_exactly_one_split() -> None:
    sizes = SplitSizes(train=9, val=3, calib=4, test_iid=5)
    plans = plan_world(WorldConfig(splits=sizes))
    assert len({plan.video for plan in plans}) == len({plan.seed for plan in plans}) == sizes.total == 21
    for split, count in sizes.by_name.items():
        assert sum(plan.split == split for plan in plans) == count


def test_a_quarter_of_clips_repeat_an_event_and_three_in_ten_overlap_two() -> None:
    config = WorldConfig(splits=SplitSizes(train=1500))
    plans = plan_world(config)
    # Four standard errors of 1,620 clips.
    assert sum(map(repeats_event, plans)) / len(plans) == pytest.approx(config.repeat_share, abs=0.043)
    assert sum(map(overlaps_events, plans)) / len(plans) == pytest.approx(config.overlap_share, abs=0.046)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_are_obeyed_at_their_ends(share: float) -> None:
    config = small_world(train=20, repeat_share=share, overlap_share=share, nested_share=0.0)
    for plan in plan_world(config):
        assert repeats_event(plan) == bool(share)
        assert overlaps_events(plan) == bool(share)


@pytest.mark.parametrize(("median_s", "least_s"), [(2.0, 2.0), (9.0, 1.0)])
def test_events_that_do_not_fit_are_one_line_and_no_endless_search(median_s: float, least_s: float) -> None:
    config = WorldConfig(
        min_duration_s=8.0, max_duration_s=8.5, event_median_s=median_s, min_event_s=least_s, rates=(4.0,)
    )
    said = r"^demo world: a clip of 8\.?\d* s has no room for 3 events of about \d s; raise its min_dur"
    with pytest.raises(UserError, match=said):
        plan_world(config)
