"""Pixels: the same for the same plan, what and where the plan says, and readable by the project's decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits
from d2vlm_pipeline.video.decode import decode_frames
from d2vlm_pipeline.video.folder import load_videos, save_videos
from d2vlm_pipeline.video.world import (
    ClipPlan,
    plan_world,
    render_clip,
    render_frames,
    render_world,
)
from d2vlm_pipeline.video.world.certificate import lone_object
from d2vlm_pipeline.video.world.render import OBJECT_SHARE
from d2vlm_pipeline.video.world.vocabulary import CLASSES, COLOURS, RGB, Triple
from video.world.scenes import QUIET, event, scene, small_world


@pytest.fixture(scope="module")
def plans() -> list[ClipPlan]:
    """The first seconds of three clips of the world."""
    whole = plan_world(small_world(train=2, sizes=((192, 144),), rates=(8.0,)))[:3]
    return [plan.model_copy(update={"duration_s": 10.0}) for plan in whole]


@pytest.fixture(scope="module")
def rendered(plans: list[ClipPlan]) -> dict[str, bytes]:
    return dict(render_world(plans, workers=1))


def nearest_colour(pixels_PC: np.ndarray) -> str:
    """The vocabulary's colour that most pixels are close to; outlines and shadows are close to none."""
    palette_KC = np.array([RGB[colour] for colour in COLOURS])
    close_PK = np.abs(pixels_PC[:, None, :] - palette_KC).max(axis=2) < 60
    return COLOURS[int(close_PK.sum(axis=0).argmax())]


@dataclass
class Shown:
    """What a plan's events change in one frame."""

    frame_HWC: np.ndarray
    changed_HW: np.ndarray

    @classmethod
    def of(cls, plan: ClipPlan, number: int) -> "Shown":
        def frame(of: ClipPlan) -> np.ndarray:
            return next(islice(render_frames(of), number, None)).astype(int)

        with_events, without = frame(plan), frame(plan.model_copy(update={"events": ()}))
        return cls(with_events, np.abs(with_events - without).max(axis=2) > 4)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of what changed, as shares of the frame."""
        height, width = self.changed_HW.shape
        rows, columns = np.nonzero(self.changed_HW)
        return (
            columns.min() / width,
            rows.min() / height,
            (columns.max() + 1) / width,
            (rows.max() + 1) / height,
        )


def test_a_plan_gives_the_same_bytes_again(plans: list[ClipPlan], rendered: dict[str, bytes]) -> None:
    assert render_clip(plans[0]) == rendered[plans[0].video]
    assert len(set(rendered.values())) == len(plans)


def test_neither_order_nor_workers_change_a_byte(plans: list[ClipPlan], rendered: dict[str, bytes]) -> None:
    backwards = list(render_world(plans[::-1], workers=2))
    assert [name for name, _ in backwards] == [plan.video for plan in plans[::-1]]
    assert dict(backwards) == rendered


def test_a_folder_of_clips_is_written_and_found(rendered: dict[str, bytes], tmp_path: Path) -> None:
    save_videos(rendered.items(), tmp_path)
    (tmp_path / "notes.txt").write_text("not a video")
    folder = load_videos(tmp_path)
    assert folder.names == tuple(sorted(rendered))
    assert {name: (folder.root / name).read_bytes() for name in folder.names} == rendered


@pytest.mark.parametrize("size, fps", [((192, 144), 8.0), ((320, 240), 12.0), ((240, 180), 10.0)])
def test_the_decoder_reads_back_every_planned_frame(
    size: tuple[int, int], fps: float, tmp_path: Path
) -> None:
    plan = scene(event(), width=size[0], height=size[1], fps=fps, duration_s=round(7.0 * fps) / fps)
    path = tmp_path / plan.video
    path.write_bytes(render_clip(plan))
    frames_THWC, timebase = decode_frames(
        path, SamplingPolicy(fps=100.0, max_frames=9999), None, DecodeLimits()
    )
    assert frames_THWC.shape == (round(7.0 * fps), size[1], size[0], 3)
    assert timebase.duration_s == pytest.approx(plan.duration_s, abs=1e-3)
    assert timebase.fps_src == pytest.approx(fps)
    assert timebase.times_s == pytest.approx([index / fps for index in range(len(timebase))], abs=1e-3)
    for decoded, drawn in zip(frames_THWC[::17], list(render_frames(plan))[::17], strict=True):
        assert np.abs(decoded.astype(int) - drawn.astype(int)).mean() < 8


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("object_class", CLASSES)
def test_an_object_has_its_colour_at_its_place(colour: str, object_class: str) -> None:
    triple = Triple(colour, object_class, "bounce")
    # A bouncing object is at the top of its way after half a period of 1.5 s: 0.16 above its lane.
    plan = scene(event(triple, start_s=0.25, end_s=4.0, lane_y=0.52, spot_x=0.4), duration_s=5.0)
    shown = Shown.of(plan, number=8)
    left, top, right, bottom = shown.box
    half_y, half_x = OBJECT_SHARE / 2, OBJECT_SHARE / 2 * plan.height / plan.width
    one_pixel = 1.5 / plan.height
    assert left >= 0.4 - half_x - one_pixel and right <= 0.4 + half_x + one_pixel
    assert top >= 0.36 - half_y - one_pixel and bottom <= 0.36 + half_y + one_pixel
    assert right - left > half_x and bottom - top > half_y
    assert nearest_colour(shown.frame_HWC[shown.changed_HW]) == colour


def boxes(plan: ClipPlan, numbers: Sequence[int]) -> list[tuple[float, float, float, float]]:
    return [Shown.of(plan, number).box for number in numbers]


def test_a_growing_object_grows_in_the_picture() -> None:
    plan = scene(event(start_s=0.5, end_s=4.5), duration_s=6.0)
    widths = [right - left for left, _, right, _ in boxes(plan, [8, 16, 24, 32])]
    assert widths == sorted(widths) and widths[-1] > 1.5 * widths[0]


def test_a_crossing_object_moves_to_the_right_in_the_picture() -> None:
    plan = scene(event(Triple("blue", "star", "cross_right"), start_s=0.5, end_s=4.5), duration_s=6.0)
    rights = [right for _, _, right, _ in boxes(plan, [8, 14, 20])]
    assert rights == sorted(rights) and rights[-1] - rights[0] > 0.3


def test_nothing_of_an_event_shows_outside_its_ramps() -> None:
    plan = scene(event(start_s=2.0, end_s=4.0, ramp_in_s=0.5, ramp_out_s=0.5), duration_s=6.0)
    frames = [list(render_frames(of)) for of in (plan, plan.model_copy(update={"events": ()}))]
    differs = [not np.array_equal(a, b) for a, b in zip(*frames, strict=True)]
    times_s = [index / plan.fps for index, is_different in enumerate(differs) if is_different]
    assert min(times_s) == pytest.approx(1.75, abs=2 / plan.fps)
    assert max(times_s) == pytest.approx(4.25, abs=2 / plan.fps)


def test_nuisance_changes_pixels_on_every_frame_but_no_event() -> None:
    quiet = scene(event(), duration_s=8.0)
    noisy = QUIET.model_copy(
        update={"backgrounds": (5, 6), "cuts_s": (3.0,), "flicker": 0.1, "noise_std": 6.0, "occluder_x": 0.9}
    )
    loud = quiet.model_copy(update={"nuisance": noisy})
    a, b = list(render_frames(quiet)), list(render_frames(loud))
    assert len(a) == len(b) == 64
    assert all(np.abs(x.astype(int) - y.astype(int)).mean() > 1 for x, y in zip(a, b, strict=True))
    # The cut shows another background; nothing else of the quiet clip jumps.
    jumps = [np.abs(x.astype(int) - y.astype(int)).mean() for x, y in pairwise(b)]
    assert int(np.argmax(jumps)) + 1 == 24


def test_what_the_decoder_sees_alone_on_the_screen_has_the_named_colour(
    plans: list[ClipPlan], rendered: dict[str, bytes], tmp_path: Path
) -> None:
    hits = []
    for plan in plans:
        (tmp_path / plan.video).write_bytes(rendered[plan.video])
        frames_THWC, timebase = decode_frames(tmp_path / plan.video, SamplingPolicy(), None, DecodeLimits())
        for frame_HWC, time_s in zip(frames_THWC, timebase.times_s, strict=True):
            shown = lone_object(plan, time_s)
            if shown is not None:
                row, column = round(shown.y * plan.height), round(shown.x * plan.width)
                patch = frame_HWC[row - 8 : row + 9, column - 8 : column + 9].reshape(-1, 3).astype(int)
                hits.append(nearest_colour(patch) == shown.triple.colour)
    assert len(hits) > 20
    # Compression and flicker may cost a few.
    assert np.mean(hits) > 0.9
