"""Which times, and which source frames, a policy asks for."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.timeline import SamplingPolicy

RATES = st.sampled_from([0.5, 1.0, 2.0, 3.0, 24000 / 1001, 29.97, 30.0]) | st.floats(0.01, 60)
DURATIONS = st.floats(0.01, 2000)


def test_times_are_multiples_of_the_period_inside_the_clip() -> None:
    assert SamplingPolicy(fps=2).sample_times(2.1) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_end_of_the_clip_is_not_sampled() -> None:
    assert SamplingPolicy(fps=2).sample_times(2.0) == [0.0, 0.5, 1.0, 1.5]


def test_a_clip_shorter_than_the_period_gives_its_first_frame() -> None:
    assert SamplingPolicy(fps=1).sample_times(0.04) == [0.0]


@given(RATES, DURATIONS)
def test_every_multiple_below_the_duration_and_no_other(fps: float, duration_s: float) -> None:
    times = SamplingPolicy(fps=fps, max_frames=10**6).sample_times(duration_s)
    assert times == [k / fps for k in range(len(times))]
    assert times[-1] < duration_s <= len(times) / fps


@given(RATES, DURATIONS, st.integers(1, 50))
def test_thinning_keeps_both_ends_and_even_gaps(fps: float, duration_s: float, limit: int) -> None:
    full = SamplingPolicy(fps=fps, max_frames=10**6).sample_times(duration_s)
    thin = SamplingPolicy(fps=fps, max_frames=limit).sample_times(duration_s)
    assert len(thin) == min(limit, len(full))
    assert set(thin) <= set(full)
    assert thin[0] == 0.0
    if limit > 1:
        assert thin[-1] == full[-1]
        steps = [round((b - a) * fps) for a, b in pairwise(thin)]
        assert max(steps, default=1) - min(steps, default=1) <= 1


def test_one_frame_is_the_first() -> None:
    assert SamplingPolicy(max_frames=1).sample_times(100.0) == [0.0]


def test_a_duration_next_to_a_multiple_counts_exactly() -> None:
    policy = SamplingPolicy(fps=29.97, max_frames=10**6)
    for k in range(1, 500):
        assert len(policy.sample_times(k / 29.97)) == k
        assert len(policy.sample_times(math.nextafter(k / 29.97, math.inf))) == k + 1
        assert len(policy.sample_times(math.nextafter(k / 29.97, 0))) == k


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.inf, math.nan])
def test_impossible_durations_are_refused(duration_s: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        SamplingPolicy().sample_times(duration_s)


@pytest.mark.parametrize(
    "fields", [{"fps": 0}, {"fps": -1}, {"fps": math.inf}, {"max_frames": 0}, {"rounding": "up"}, {"rate": 2}]
)
def test_impossible_policies_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SamplingPolicy(**fields)  # type: ignore[arg-type]


def test_every_field_counts_in_the_digest() -> None:
    policies = [
        SamplingPolicy(),
        SamplingPolicy(fps=1),
        SamplingPolicy(max_frames=255),
        SamplingPolicy(rounding="previous"),
    ]
    assert len({policy.digest for policy in policies}) == 4
    assert SamplingPolicy(fps=2).digest == SamplingPolicy(fps=2.0, max_frames=256).digest


def test_digest_is_pinned() -> None:
    """It addresses stored features: a change makes every stored feature stale."""
    assert SamplingPolicy().digest == "0b8251b9db4b6e07b84cc2592861563f3b95185f33d627379b61fe502189e443"


def test_reading_the_digest_leaves_policies_equal() -> None:
    policy = SamplingPolicy()
    assert policy.digest
    assert policy == SamplingPolicy()
    assert policy.model_dump() == {"fps": 2.0, "max_frames": 256, "rounding": "nearest"}


def test_nearest_frame_may_lie_after_the_target_the_previous_one_never() -> None:
    presentation_s = [0.0, 0.45, 0.8, 1.6]
    assert SamplingPolicy(rounding="nearest").choose_frames(presentation_s, 2.0) == [0, 1, 2, 3]
    assert SamplingPolicy(rounding="previous").choose_frames(presentation_s, 2.0) == [0, 1, 2]


def test_of_two_equally_near_frames_the_earlier_is_taken() -> None:
    assert SamplingPolicy(fps=2).choose_frames([0.0, 0.25, 0.75], 0.9) == [0, 1]


def test_a_slow_source_is_not_repeated() -> None:
    assert SamplingPolicy(fps=10).choose_frames([0.0, 1.0, 2.0], 3.0) == [0, 1, 2]


def test_of_frames_presented_together_the_first_is_taken() -> None:
    presentation_s = [0.0, 0.0, 0.9, 0.9, 2.0]
    assert SamplingPolicy(fps=2).choose_frames(presentation_s, 2.5) == [0, 2, 4]
    assert SamplingPolicy(fps=1, rounding="previous").choose_frames(presentation_s, 2.5) == [0, 2, 4]


def test_times_that_run_backwards_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frame 2 is presented at 0\.5 s, before frame 1"):
        SamplingPolicy().choose_frames([0.0, 1.0, 0.5], 2.0)


def test_a_video_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="without frames"):
        SamplingPolicy().choose_frames([], 1.0)


@given(st.lists(st.floats(0.001, 5), max_size=60), RATES)
def test_each_target_gets_a_frame_no_other_frame_is_nearer_to(gaps_s: list[float], fps: float) -> None:
    presentation_s = [0.0]
    for gap_s in gaps_s:
        presentation_s.append(presentation_s[-1] + gap_s)
    duration_s = presentation_s[-1] + 0.5
    policy = SamplingPolicy(fps=fps, max_frames=40)
    nearest = [
        min(range(len(presentation_s)), key=lambda i: abs(presentation_s[i] - target_s))
        for target_s in policy.sample_times(duration_s)
    ]
    assert policy.choose_frames(presentation_s, duration_s) == sorted(set(nearest))
