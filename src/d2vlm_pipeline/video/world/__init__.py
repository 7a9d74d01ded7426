"""The demo world: rendered clips with exact truth, a benchmark that needs no footage, network or GPU."""

from d2vlm_pipeline.video.world.config import WORLD_VERSION, SplitSizes, WorldConfig
from d2vlm_pipeline.video.world.plan import ClipPlan, PlannedEvent, plan_world
from d2vlm_pipeline.video.world.questions import world_samples
from d2vlm_pipeline.video.world.render import render_clip, render_frames, render_world

__all__ = [
    "WORLD_VERSION",
    "ClipPlan",
    "PlannedEvent",
    "SplitSizes",
    "WorldConfig",
    "plan_world",
    "render_clip",
    "render_frames",
    "render_world",
    "world_samples",
]
