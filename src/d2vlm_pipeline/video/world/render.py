"""Clip plan → frames → H.264 MP4 bytes. A pure function of the plan: same plan, same bytes."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from PIL import Image

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.video.world.motion import Pose, pose_at
from d2vlm_pipeline.video.world.plan import ClipPlan
from d2vlm_pipeline.video.world.sprites import background, sprite, stray_sprite

OBJECT_SHARE = 0.38  # the world's one size: side of the sprite as a share of the frame height
_OCCLUDER_SHARE = 0.06


def render_frames(plan: ClipPlan) -> Iterator[np.ndarray]:
    """The clip's frames in order, each uint8 [H, W, 3]."""
    rng = np.random.default_rng(plan.seed)
    shots = [background(seed, plan.width, plan.height) for seed in plan.nuisance.backgrounds]
    grain = rng.normal(0.0, 1.0, (plan.height + 32, plan.width + 32, 1)).astype(np.float32)
    for index in range(round(plan.duration_s * plan.fps)):
        time_s = index / plan.fps
        canvas = _backdrop(plan, shots, time_s).astype(np.float32)
        for image, pose in _visible(plan, time_s):
            _paste(canvas, image, pose)
        if plan.nuisance.occluder_x is not None:
            left = int(plan.nuisance.occluder_x * plan.width)
            canvas[:, left : left + int(_OCCLUDER_SHARE * plan.width)] = 70.0
        canvas *= 1.0 + plan.nuisance.flicker * rng.uniform(-1.0, 1.0)
        top, left = rng.integers(0, 32, 2)
        canvas += plan.nuisance.noise_std * grain[top : top + plan.height, left : left + plan.width]
        yield np.clip(canvas, 0, 255).astype(np.uint8)


def _backdrop(plan: ClipPlan, shots: list[np.ndarray], time_s: float) -> np.ndarray:
    shot = shots[sum(time_s >= cut for cut in plan.nuisance.cuts_s)]
    share = time_s / plan.duration_s
    left = round(plan.width * (0.1 + plan.nuisance.pan[0] * (share - 0.5)))
    top = round(plan.height * (0.1 + plan.nuisance.pan[1] * (share - 0.5)))
    return shot[top : top + plan.height, left : left + plan.width]


def _visible(plan: ClipPlan, time_s: float) -> Iterator[tuple[Image.Image, Pose]]:
    side = round(OBJECT_SHARE * plan.height)
    stray = plan.nuisance.stray_s
    if stray is not None and stray[0] <= time_s < stray[1]:
        x = 0.2 + 0.6 * (time_s - stray[0]) / (stray[1] - stray[0])
        yield stray_sprite(side), Pose(x, 0.5, 0.7, 1.0)
    for event in plan.events:
        pose = pose_at(event, time_s)
        if pose is not None:
            yield sprite(event.triple.object_class, event.triple.colour, side), pose


def _paste(canvas: np.ndarray, image: Image.Image, pose: Pose) -> None:
    """Blend an RGBA sprite into a float canvas [H, W, 3], clipped at the edges."""
    height, width = canvas.shape[:2]
    side = max(2, round(image.width * pose.scale))
    scaled = image if side == image.width else image.resize((side, side), Image.Resampling.BILINEAR)
    left, top = round(pose.x * width - side / 2), round(pose.y * height - side / 2)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x0 >= x1 or y0 >= y1:
        return
    patch = np.asarray(scaled, dtype=np.float32)[y0 - top : y1 - top, x0 - left : x1 - left]
    opacity = patch[..., 3:] * (pose.alpha / 255.0)
    region = canvas[y0:y1, x0:x1]
    region += opacity * (patch[..., :3] - region)


def render_clip(plan: ClipPlan) -> bytes:
    """The clip as an MP4 file (H.264, yuv420p); one encoder thread, so that the bytes are reproducible."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(plan.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
        stream.options = {"crf": str(plan.crf), "preset": "superfast", "threads": "1", "g": "24"}
        for pixels in render_frames(plan):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def render_world(plans: Sequence[ClipPlan], workers: int) -> Iterator[tuple[str, bytes]]:
    """File name and MP4 bytes of every clip, in plan order; the same bytes for any number of workers."""
    if workers <= 1:
        for plan in track(plans, "render clips", unit="clip"):
            yield plan.video, render_clip(plan)
        return
    # Spawned, not forked: a parent that has used its BLAS or decoder threads must not be copied mid-lock.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        rendered = pool.imap(render_clip, plans, chunksize=4)
        for plan, data in track(
            zip(plans, rendered, strict=True), "render clips", total=len(plans), unit="clip"
        ):
            yield plan.video, data
