"""What is compared shows the same frames, and other frames stop the comparison."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.decode import EVERY, cpu_s, measured, ratio, summary
from benchmarks.footage import FPS, KEYFRAME_EVERY, write_footage
from benchmarks.readers import SIZE_PX, Read, others, ours, plain_pyav, sandboxed

from d2vlm_pipeline.video import DecodeLimits, DecodePool
from d2vlm_pipeline.video.opening import open_video
from d2vlm_pipeline.video.packets import scan_packets

SECONDS = 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_footage(tmp_path_factory.mktemp("footage"), 96, SECONDS)


def test_footage_is_what_the_claims_are_about(clip: Path) -> None:
    with open_video(clip, DecodeLimits()) as video:
        table = scan_packets(video)
        assert video.stream.codec_context.name == "h264"
    assert len(table.pts) == SECONDS * FPS and table.fps_src == FPS
    assert list(table.places) == [0, KEYFRAME_EVERY, 2 * KEYFRAME_EVERY]
    assert table.pts != sorted(table.pts), "frames are reordered"


@pytest.mark.slow
@pytest.mark.parametrize("rate", EVERY)
def test_all_readers_show_the_same_frames(clip: Path, rate: str) -> None:
    every = EVERY[rate]
    expected = [number / FPS for number in range(0, SECONDS * FPS, every)]
    reference = plain_pyav(clip, every)
    with DecodePool(1) as pool:
        for name, read in {"ours": ours, "sandbox": sandboxed(pool), **others()[0]}.items():
            frames_THWC, times_s = read(clip, every)
            assert times_s == pytest.approx(expected, abs=1e-3), name
            assert frames_THWC.shape == (len(expected), SIZE_PX, SIZE_PX, 3)
            # Conversions differ in rounding and in how they spread chroma; other frames differ more.
            difference = np.abs(frames_THWC.astype(int) - reference.frames_THWC).mean(axis=(1, 2, 3))
            assert difference.max() < 12, name


def test_other_frames_stop_the_comparison(clip: Path) -> None:
    def late(path: Path, every: int) -> Read:
        frames_THWC, times_s = ours(path, every)
        return Read(frames_THWC, [time_s + 1 / FPS for time_s in times_s])

    with DecodePool(1) as pool, pytest.raises(AssertionError, match="late presents"):
        measured({"late": late}, clip, [0.0, 1.0, 2.0, 3.0, 4.0], FPS, 1, pool)


def test_the_time_of_a_worker_counts(clip: Path) -> None:
    with DecodePool(1) as pool:
        read = sandboxed(pool)
        read(clip, 1)
        assert cpu_s(pool.pids) > cpu_s([])


def test_the_summary_is_over_all_settings() -> None:
    quick = {"ours": 1.0, "in the sandbox": 1.1, "OpenCV": 2.0, "PyAV": 4.0}
    slow = {"ours": 3.0, "in the sandbox": 6.0, "OpenCV": 2.0, "PyAV": 4.0}
    assert (ratio(quick), ratio(slow)) == (0.5, 1.5)
    found = summary([(360, "1 fps", quick), (360, "all", slow)])
    assert found == {
        "settings": 2,
        "settings_as_fast": 1,
        "worst_ratio": 1.5,
        "sandbox_worst_sparse": pytest.approx(1.1),
    }
