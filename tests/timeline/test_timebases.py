"""Seconds and frames: there and back, at any rate, for any gaps."""

import math
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.timeline import Interval, SamplingPolicy, TimeBase

POLICY = SamplingPolicy()


def base(times_s: list[float], duration_s: float) -> TimeBase:
    return TimeBase(times_s=tuple(times_s), duration_s=duration_s, fps_src=30.0, policy_digest=POLICY.digest)


def interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


@st.composite
def timebases(draw: st.DrawFn) -> TimeBase:
    """Constant and variable frame rates, single frames, late first frames, any remainder at the end."""
    if draw(st.booleans()):
        fps = draw(st.sampled_from([1.0, 2.0, 24000 / 1001, 29.97, 30.0]) | st.floats(0.1, 60))
        times_s = [k / fps for k in range(draw(st.integers(1, 80)))]
    else:
        gaps_s = draw(st.lists(st.floats(0.001, 20), max_size=60))
        times_s = [draw(st.sampled_from([0.0, 0.04, 3.0]))]
        for gap_s in gaps_s:
            times_s.append(times_s[-1] + gap_s)
    return base(times_s, times_s[-1] + draw(st.floats(0.001, 30)))


@st.composite
def timebases_and_intervals(draw: st.DrawFn) -> tuple[TimeBase, Interval]:
    """Intervals of any length, often with ends on frame times, sometimes past the clip."""
    timebase = draw(timebases())
    instants = st.sampled_from([*timebase.times_s, timebase.duration_s]) | st.floats(
        0, timebase.duration_s * 1.5
    )
    start_s, end_s = sorted([draw(instants), draw(instants)])
    if start_s == end_s:
        end_s = math.nextafter(start_s, math.inf) if draw(st.booleans()) else start_s + 0.01
    return timebase, interval(start_s, end_s)


def span(timebase: TimeBase, frame: int) -> tuple[float, float]:
    """Display span of one frame, straight from the definition."""
    times_s = timebase.times_s
    if frame + 1 < len(times_s):
        return times_s[frame], times_s[frame + 1]
    if len(times_s) == 1:
        return times_s[0], timebase.duration_s
    gap_s = median(b - a for a, b in pairwise(times_s))
    return times_s[-1], min(timebase.duration_s, times_s[-1] + gap_s)


@given(timebases_and_intervals())
def test_frames_of_is_the_definition(case: tuple[TimeBase, Interval]) -> None:
    timebase, asked = case
    spans = [span(timebase, i) for i in range(len(timebase))]
    meets = [i for i, (start_s, end_s) in enumerate(spans) if start_s < asked.end_s and asked.start_s < end_s]
    if meets:
        assert timebase.frames_of(asked) == (meets[0], meets[-1])
    else:
        nearest = 0 if asked.end_s <= timebase.times_s[0] else len(timebase) - 1
        assert timebase.frames_of(asked) == (nearest, nearest)


@given(timebases(), st.data())
def test_frames_to_seconds_and_back_is_exact(timebase: TimeBase, data: st.DataObject) -> None:
    last = data.draw(st.integers(0, len(timebase) - 1))
    first = data.draw(st.integers(0, last))
    assert timebase.frames_of(timebase.interval_of(first, last)) == (first, last)


@given(timebases_and_intervals())
def test_seconds_to_frames_and_back_covers_the_shown_part_and_stays_within_a_gap(
    case: tuple[TimeBase, Interval],
) -> None:
    timebase, asked = case
    first, last = timebase.frames_of(asked)
    found = timebase.interval_of(first, last)
    if not found.intersects(asked):
        return  # outside everything shown: the nearest frame
    assert found.start_s <= max(asked.start_s, timebase.times_s[0])
    assert found.end_s >= min(asked.end_s, timebase.end_s)
    assert asked.start_s < timebase.interval_of(first, first).end_s
    assert asked.end_s > timebase.interval_of(last, last).start_s


@given(timebases_and_intervals(), st.floats(0, 10))
def test_a_longer_interval_never_has_fewer_frames(case: tuple[TimeBase, Interval], more_s: float) -> None:
    timebase, asked = case
    first, last = timebase.frames_of(asked)
    wider = interval(max(0.0, asked.start_s - more_s), asked.end_s + more_s)
    assert timebase.frames_of(wider)[0] <= first
    assert timebase.frames_of(wider)[1] >= last


@pytest.mark.parametrize(
    ("asked", "frames"),
    [
        ((0, 10), (0, 4)),
        ((0, 0.1), (0, 0)),
        ((2, 4), (1, 1)),
        ((2, 4.001), (1, 2)),
        ((1.999, 4), (0, 1)),
        ((2.5, 2.6), (1, 1)),
        ((3.9, 4.1), (1, 2)),
        ((9.9, 10), (4, 4)),
        ((10, 11), (4, 4)),
        ((50, 51), (4, 4)),
    ],
    ids=[
        "whole clip",
        "first instant",
        "exactly one frame",
        "barely the next",
        "barely the one before",
        "shorter than the gap",
        "shorter than the gap, across a frame",
        "last instant",
        "from the end on",
        "long past the end",
    ],
)
def test_known_cases_at_half_a_frame_a_second(asked: tuple[float, float], frames: tuple[int, int]) -> None:
    assert base([0, 2, 4, 6, 8], 10).frames_of(interval(*asked)) == frames


def test_before_a_late_first_frame_the_nearest_is_the_first() -> None:
    assert base([3.0, 4.0], 5.0).frames_of(interval(0, 1)) == (0, 0)
    assert base([3.0, 4.0], 5.0).frames_of(interval(0, 3)) == (0, 0)


def test_variable_frame_rate() -> None:
    timebase = base([0.0, 0.1, 0.2, 5.0, 5.1], 9.0)
    assert timebase.frames_of(interval(1.0, 4.0)) == (2, 2)
    assert timebase.interval_of(2, 3) == interval(0.2, 5.1)
    assert timebase.end_s == pytest.approx(5.2), "median gap, not the mean that the long one pulls up"
    assert timebase.frames_of(interval(7.0, 8.0)) == (4, 4)


def test_last_frame_ends_with_the_clip_where_that_is_sooner() -> None:
    assert base([0, 1, 2], 2.5).interval_of(0, 2) == interval(0, 2.5)
    assert base([0, 1, 2], 9.5).interval_of(2, 2) == interval(2, 3)


def test_a_single_frame_lasts_to_the_end() -> None:
    timebase = base([0.0], 7.0)
    assert timebase.interval_of(0, 0) == interval(0, 7)
    assert timebase.frames_of(interval(5, 6)) == (0, 0)


def test_a_one_frame_event_is_that_frame() -> None:
    timebase = base([0, 0.5, 1, 1.5], 2)
    for i in range(4):
        assert timebase.frames_of(timebase.interval_of(i, i)) == (i, i)


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (0, 2), (1, 0), (2, 2)])
def test_frames_outside_the_clip_are_refused(first: int, last: int) -> None:
    with pytest.raises(IndexError, match="2 sampled frames"):
        base([0, 1], 2).interval_of(first, last)


@pytest.mark.parametrize(
    ("times_s", "duration_s", "reason"),
    [
        ([], 1.0, "at least 1"),
        ([0.0, 1.0, 1.0], 2.0, "frame 2 is at 1.0 s after 1.0 s"),
        ([0.0, 2.0, 1.0], 3.0, "must increase"),
        ([-0.5, 1.0], 2.0, "start offset"),
        ([0.0, 2.0], 2.0, "lasts 2.0 s"),
        ([0.0, math.nan], 2.0, "finite"),
        ([0.0], math.inf, "finite"),
        ([0.0], 0.0, "greater than 0"),
        ([0.0, 5e-324, 1.5e-323, 1.0], 9.0, "too close together"),
    ],
)
def test_impossible_time_bases_are_refused(times_s: list[float], duration_s: float, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        base(times_s, duration_s)


@given(timebases())
def test_json_round_trip_keeps_value_and_digest(timebase: TimeBase) -> None:
    again = TimeBase.model_validate_json(timebase.model_dump_json())
    assert again == timebase
    assert again.digest == timebase.digest


def test_every_field_counts_in_the_digest() -> None:
    first = base([0, 1], 2)
    others = [
        base([0, 1.25], 2),
        base([0, 1], 2.5),
        TimeBase(times_s=(0, 1), duration_s=2, fps_src=25, policy_digest=POLICY.digest),
        TimeBase(times_s=(0, 1), duration_s=2, fps_src=30, policy_digest="other"),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 5


@given(
    st.lists(st.integers(1, 400), max_size=80),
    st.sampled_from([0.0, 0.08, 1.4, -0.04]),
    st.sampled_from([0.5, 2.0, 25.0]),
)
def test_zero_is_the_first_presented_frame(gaps_ms: list[int], offset_s: float, fps: float) -> None:
    policy = SamplingPolicy(fps=fps, max_frames=64)
    ticks = [sum(gaps_ms[:i]) for i in range(len(gaps_ms) + 1)]
    duration_s = (ticks[-1] + 40) / 1000
    chosen, timebase = TimeBase.of_video([offset_s + t / 1000 for t in ticks], duration_s, 25.0, policy)
    assert timebase.times_s[0] == 0.0
    assert timebase.times_s == pytest.approx([ticks[i] / 1000 for i in chosen])
    assert len(timebase) == len(chosen) <= 64
    assert timebase.policy_digest == policy.digest


@pytest.mark.parametrize(
    "times_s", [[], [0.0, 1.0, 0.9], [0.0, 5.0]], ids=["none", "backwards", "past the end"]
)
def test_videos_with_impossible_times_are_refused(times_s: list[float]) -> None:
    with pytest.raises(ValueError, match=r"without frames|before frame 1|lasts 4"):
        TimeBase.of_video(times_s, 4.0, 25.0, SamplingPolicy(fps=1, max_frames=8))
