from pathlib import Path

import pytest

from video.clips import FASTSTART, steady_ms, write_clip


@pytest.fixture(scope="session")
def steady_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s at 10 frames a second, index first."""
    return write_clip(tmp_path_factory.mktemp("clips") / "steady.mp4", steady_ms(40), container=FASTSTART)


@pytest.fixture(scope="session")
def late_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Starts at 1.5 s; gaps of 40 to 300 ms."""
    times_ms = [1500 + 300 * (i // 2) + 40 * (i % 2) for i in range(20)]
    return write_clip(tmp_path_factory.mktemp("clips") / "late.mp4", times_ms)
