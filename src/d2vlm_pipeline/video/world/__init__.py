"""The demo world: rendered clips with exact truth, a benchmark that needs no footage, network or GPU."""

from d2vlm_pipeline.video.world.config import WORLD_VERSION, SplitSizes, WorldConfig
from d2vlm_pipeline.video.world.folder import ClipFolder, load_clips, render_world, save_clips
from d2vlm_pipeline.video.world.plan import ClipPlan, PlannedEvent, plan_world
from d2vlm_pipeline.video.world.questions import world_samples
from d2vlm_pipeline.video.world.render import render_clip, render_frames

__all__ = [
    "WORLD_VERSION",
    "ClipFolder",
    "ClipPlan",
    "PlannedEvent",
    "SplitSizes",
    "WorldConfig",
    "load_clips",
    "plan_world",
    "render_clip",
    "render_frames",
    "render_world",
    "save_clips",
    "world_samples",
]
