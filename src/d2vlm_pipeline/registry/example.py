"""One question about one small clip: the registered model's input example, and what a smoke test asks."""

from __future__ import annotations

from functools import cache

QUESTION = "When does a ball enter?"


@cache
def example_clip() -> bytes:
    """A clip of the demo world as MP4: eight to ten seconds, about ten kilobytes, the same bytes always."""
    from d2vlm_pipeline.video.world import SplitSizes, WorldConfig, plan_world, render_clip

    world = WorldConfig(
        splits=SplitSizes(train=1, val=1, calib=1, test_iid=1),
        min_duration_s=8.0,
        max_duration_s=10.0,
        max_events=3,
        event_median_s=2.0,
        min_event_s=1.0,
        sizes=((96, 72),),
        rates=(4.0,),
        crf=(35, 35),
    )
    return render_clip(plan_world(world)[-1])


def example_row() -> dict[str, object]:
    """A row of the registered model's input; it names no file, so that it is answered anywhere."""
    return {"video_bytes": example_clip(), "question": QUESTION}
