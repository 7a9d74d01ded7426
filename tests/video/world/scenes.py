"""Small worlds, and clips with chosen events."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.video.world import ClipPlan, PlannedEvent, SplitSizes, WorldConfig
from d2vlm_pipeline.video.world.plan import Nuisance
from d2vlm_pipeline.video.world.vocabulary import Triple

QUIET = Nuisance(
    backgrounds=(5,), cuts_s=(), pan=(0.0, 0.0), flicker=0.0, noise_std=0.0, occluder_x=None, stray_s=None
)
RED_BALL_GROWS = Triple("red", "ball", "grow")


def small_world(seed: int = 7, train: int = 6, **values: Any) -> WorldConfig:
    return WorldConfig(seed=seed, splits=SplitSizes(train=train, val=1, calib=1, test_iid=2), **values)


def event(
    triple: Triple = RED_BALL_GROWS, start_s: float = 2.0, end_s: float = 6.0, **places: Any
) -> PlannedEvent:
    values = {"ramp_in_s": 0.4, "ramp_out_s": 0.6, "lane_y": 0.5, "spot_x": 0.5, "from_left": True}
    return PlannedEvent(triple=triple, start_s=start_s, end_s=end_s, **values | places)


def scene(*events: PlannedEvent, **values: Any) -> ClipPlan:
    """A clip of 20 s at 8 frames a second in which the given events happen, without nuisance."""
    defaults = {
        "clip_id": "train-0000",
        "split": "train",
        "seed": 3,
        "width": 192,
        "height": 144,
        "fps": 8.0,
        "crf": 23,
        "duration_s": 20.0,
        "nuisance": QUIET,
    }
    return ClipPlan(events=events, **defaults | values)
