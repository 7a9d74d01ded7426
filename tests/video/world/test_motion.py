"""Motion: where an object is and how visible, as a function of time."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.video.world.motion import pose_at
from d2vlm_pipeline.video.world.vocabulary import ORDER_PAIRS, Action, Triple
from video.world.scenes import event

ACTIONS = get_args(Action)
# A blinking object may be dark on a ramp, which scales what is shown of it.
STEADY = [action for action in ACTIONS if action != "blink"]


def doing(action: Action, **values: float):
    return event(Triple("red", "ball", action), **values)


@pytest.mark.parametrize("action", STEADY)
def test_an_event_starts_where_visibility_passes_half_height(action: Action) -> None:
    shown = doing(action, start_s=2.0, ramp_in_s=0.4)
    assert pose_at(shown, 2.0).alpha == pytest.approx(0.5)
    assert pose_at(shown, 1.9).alpha == pytest.approx(0.25)
    assert pose_at(shown, 2.1).alpha == pytest.approx(0.75)


@pytest.mark.parametrize("action", ACTIONS)
def test_before_and_after_its_ramps_an_object_is_not_there(action: Action) -> None:
    shown = doing(action, start_s=2.0, end_s=6.0, ramp_in_s=0.4, ramp_out_s=0.6)
    assert pose_at(shown, 2.0).alpha == pytest.approx(0.5)
    assert all(pose_at(shown, time_s) is None for time_s in (0.0, 1.79, 6.31, 19.0))


@pytest.mark.parametrize("action", STEADY)
def test_an_event_ends_where_visibility_passes_half_height(action: Action) -> None:
    shown = doing(action, end_s=6.0, ramp_out_s=0.6)
    assert pose_at(shown, 6.0).alpha == pytest.approx(0.5)
    assert pose_at(shown, 5.85).alpha == pytest.approx(0.75)
    assert pose_at(shown, 6.15).alpha == pytest.approx(0.25)


@pytest.mark.parametrize("action", STEADY)
def test_between_its_ramps_an_object_is_fully_visible(action: Action) -> None:
    assert pose_at(doing(action), 4.0).alpha == 1.0


def test_a_blinking_object_goes_dark_and_comes_back() -> None:
    lit = [pose_at(doing("blink"), 2.5 + 0.1 * step).alpha == 1.0 for step in range(32)]
    assert sum(a != b for a, b in pairwise(lit)) >= 3


@pytest.mark.parametrize("there, back", ORDER_PAIRS)
@given(shift_s=st.floats(0.0, 1.9), from_left=st.booleans(), spot_x=st.floats(0.28, 0.72))
def test_only_the_order_of_frames_tells_a_pair_apart(
    there: Action, back: Action, shift_s: float, from_left: bool, spot_x: float
) -> None:
    places = {"start_s": 2.0, "end_s": 6.0, "ramp_out_s": 0.4, "from_left": from_left, "spot_x": spot_x}
    forwards, backwards = doing(there, **places), doing(back, **places)
    assert pose_at(forwards, 2.0 + shift_s) == pytest.approx(pose_at(backwards, 6.0 - shift_s))


@pytest.mark.parametrize(
    "action, axis, sign",
    [("cross_right", "x", 1), ("cross_left", "x", -1), ("grow", "scale", 1), ("shrink", "scale", -1)],
)
def test_an_action_goes_the_way_it_is_called(action: Action, axis: str, sign: int) -> None:
    values = [getattr(pose_at(doing(action), 2.5 + 0.5 * step), axis) for step in range(6)]
    assert all(sign * (b - a) > 0 for a, b in pairwise(values))


@pytest.mark.parametrize("from_left", [True, False])
def test_entering_ends_and_leaving_starts_at_the_resting_place(from_left: bool) -> None:
    places = {"spot_x": 0.6, "from_left": from_left}
    outside = (lambda x: x < 0) if from_left else (lambda x: x > 1)
    enter, leave = doing("enter", **places), doing("leave", **places)
    assert outside(pose_at(enter, 2.0).x) and pose_at(enter, 5.5).x == pytest.approx(0.6)
    assert outside(pose_at(leave, 6.0).x) and pose_at(leave, 2.5).x == pytest.approx(0.6)
