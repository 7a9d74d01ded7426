"""What each frame should answer to an event."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.objectives import SFTConfig, frame_labels
from d2vlm_pipeline.timeline import Interval, TimeBase

HARD, SECONDS, FRAMES = (SFTConfig(labels=kind) for kind in ("hard", "soft_seconds", "soft_frames"))


def clock(frames: int, fps: float = 1.0) -> TimeBase:
    """`frames` frames at a steady rate, to the end of the clip."""
    times_s = tuple(index / fps for index in range(frames))
    return TimeBase(times_s=times_s, duration_s=frames / fps, fps_src=30.0, policy_digest="p")


def labels(config: SFTConfig, start_s: float, end_s: float, timebase: TimeBase) -> list[float]:
    (row,) = frame_labels([Interval(start_s=start_s, end_s=end_s)], timebase, config).tolist()
    return row


def test_soft_labels_halve_with_every_frame() -> None:
    assert labels(FRAMES, 3, 6, clock(8)) == [0.125, 0.25, 0.5, 1, 1, 1, 0.5, 0.25]


def test_the_base_says_how_fast_labels_fall() -> None:
    config = SFTConfig(labels="soft_frames", soft_base=4.0)
    assert labels(config, 1, 2, clock(4)) == [0.25, 1, 0.25, 0.0625]


def test_hard_labels_take_frames_that_lie_half_in_the_event() -> None:
    assert labels(HARD, 1.5, 4.4, clock(6)) == [0, 1, 1, 1, 0, 0]
    assert labels(HARD, 1.6, 4.6, clock(6)) == [0, 0, 1, 1, 1, 0]


def test_an_event_shorter_than_half_a_frame_keeps_its_frame() -> None:
    assert labels(HARD, 2.1, 2.2, clock(5)) == [0, 0, 1, 0, 0]
    assert labels(HARD, 1.8, 2.3, clock(5)) == [0, 0, 1, 0, 0]


def test_an_event_past_the_last_frame_takes_the_last() -> None:
    timebase = TimeBase(times_s=(0.0, 1.0, 2.0), duration_s=9.0, fps_src=30.0, policy_digest="p")
    assert labels(HARD, 7.0, 8.0, timebase) == [0, 0, 1]
    assert labels(FRAMES, 7.0, 8.0, timebase) == [0.25, 0.5, 1]
    assert labels(SECONDS, 7.0, 8.0, timebase) == [2.0**-6, 2.0**-5, 2.0**-4]


def test_seconds_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = labels(SECONDS, 2, 3, clock(6)), labels(SECONDS, 2, 3, clock(12, fps=2.0))
    assert slow == [0.5, 1, 1, 1, 0.5, 0.25]
    assert fast == pytest.approx([2**-1.5, 0.5, 2**-0.5, 1, 1, 1, 1, 2**-0.5, 0.5, 2**-1.5, 0.25, 2**-2.5])


def test_hard_labels_follow_uneven_frames() -> None:
    timebase = TimeBase(times_s=(0.0, 1.0, 4.0), duration_s=5.0, fps_src=30.0, policy_digest="p")
    # The second frame stays for three seconds; the event covers a third of it.
    assert labels(HARD, 0.0, 2.0, timebase) == [1, 0, 0]
    assert labels(HARD, 0.0, 2.5, timebase) == [1, 1, 0]


@pytest.mark.parametrize("config", [HARD, SECONDS, FRAMES])
def test_no_event_no_label(config: SFTConfig) -> None:
    assert frame_labels([], clock(4), config).shape == (0, 4)


@pytest.mark.parametrize("config", [HARD, SECONDS, FRAMES])
@given(
    start_s=st.floats(0, 30, allow_nan=False),
    length_s=st.floats(0.001, 30, allow_nan=False),
    frames=st.integers(1, 30),
    fps=st.floats(0.5, 4),
)
def test_labels_are_shares_with_one_peak_and_a_frame_for_every_event(
    config: SFTConfig, start_s: float, length_s: float, frames: int, fps: float
) -> None:
    event = Interval(start_s=start_s, end_s=start_s + length_s)
    row = frame_labels([event], clock(frames, fps), config)[0]
    assert row.dtype == torch.float32
    assert ((row >= 0) & (row <= 1)).all()
    if config is not SECONDS:  # in seconds, an event past the last frame is near none
        assert row.max() == 1
    signs = [sign for sign in row.diff().sign().tolist() if sign]
    assert signs == sorted(signs, reverse=True)  # rises, then falls
