"""How each action moves its object: pose as a function of progress. Units are shares of the frame."""

from __future__ import annotations

import math
from typing import NamedTuple

from d2vlm_pipeline.video.world.plan import PlannedEvent

_BLINK_PERIOD_S = 1.6
_BOUNCE_PERIOD_S = 1.5
_OUTSIDE = 0.22  # how far beyond the edge an object starts or ends


class Pose(NamedTuple):
    """Centre (shares of width and height), scale (1 = the world's one size) and opacity."""

    x: float
    y: float
    scale: float
    alpha: float


def pose_at(event: PlannedEvent, time_s: float) -> Pose | None:
    """The object's pose at a clip time, or None while it is invisible.

    Visibility ramps linearly over ``ramp_in_s`` and ``ramp_out_s``, centred on start and end, so that the
    annotated boundary lies at half height.
    """
    rise = (time_s - event.start_s) / event.ramp_in_s + 0.5
    fall = (event.end_s - time_s) / event.ramp_out_s + 0.5
    alpha = min(1.0, rise, fall)
    if alpha <= 0.0:
        return None
    progress = min(1.0, max(0.0, (time_s - event.start_s) / (event.end_s - event.start_s)))
    x, y, scale, shown = _MOVES[event.triple.action](event, progress, time_s - event.start_s)
    return Pose(x, y, scale, alpha * shown)


_Move = tuple[float, float, float, float]


def _edge_x(event: PlannedEvent) -> float:
    return -0.5 * _OUTSIDE if event.from_left else 1.0 + 0.5 * _OUTSIDE


def _enter(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    arrived = min(1.0, progress / 0.75)
    return _edge_x(event) + arrived * (event.spot_x - _edge_x(event)), event.lane_y, 1.0, 1.0


def _leave(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    gone = max(0.0, (progress - 0.25) / 0.75)
    return event.spot_x + gone * (_edge_x(event) - event.spot_x), event.lane_y, 1.0, 1.0


def _cross_right(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    return -0.5 * _OUTSIDE + (1.0 + _OUTSIDE) * progress, event.lane_y, 1.0, 1.0


def _cross_left(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    return 1.0 + 0.5 * _OUTSIDE - (1.0 + _OUTSIDE) * progress, event.lane_y, 1.0, 1.0


def _grow(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    return event.spot_x, event.lane_y, 0.45 + 0.95 * progress, 1.0


def _shrink(event: PlannedEvent, progress: float, _elapsed_s: float) -> _Move:
    return event.spot_x, event.lane_y, 1.4 - 0.95 * progress, 1.0


def _bounce(event: PlannedEvent, _progress: float, elapsed_s: float) -> _Move:
    lift = abs(math.sin(math.pi * elapsed_s / _BOUNCE_PERIOD_S))
    return event.spot_x, event.lane_y + 0.14 - 0.3 * lift, 1.0, 1.0


def _blink(event: PlannedEvent, _progress: float, elapsed_s: float) -> _Move:
    lit = math.sin(2.0 * math.pi * elapsed_s / _BLINK_PERIOD_S) > -0.3
    return event.spot_x, event.lane_y, 1.0, 1.0 if lit else 0.2


_MOVES = {
    "enter": _enter,
    "leave": _leave,
    "cross_right": _cross_right,
    "cross_left": _cross_left,
    "grow": _grow,
    "shrink": _shrink,
    "bounce": _bounce,
    "blink": _blink,
}
