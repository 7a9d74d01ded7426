"""A features run that is killed at once, without a chance to tidy up, loses the shard it was in."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from d2vlm_pipeline.features import FeatureStore
from d2vlm_pipeline.timeline import dump_jsonl
from d2vlm_pipeline.video import DecodeLimits, build_video_table
from faults.features_job import POLICY
from faults.processes import descendants_until_it_ends
from video.clips import steady_ms, write_clip

pytestmark = pytest.mark.slow

JOB = Path(__file__).with_name("features_job.py")
CLIPS = 9


def job(folder: Path, workers: int = 1, kill_after: int = 0) -> int:
    """Exit status of a run, none of whose processes outlive it."""
    process = subprocess.Popen([sys.executable, str(JOB), str(folder), str(workers), str(kill_after)])
    children = descendants_until_it_ends(process, look_every_s=0.05)
    status = process.wait()
    assert children, "there were processes that decode and encode"
    _, left = psutil.wait_procs(children, timeout=20)
    assert not left
    return status


def computed(folder: Path) -> list[str]:
    return (folder / "computed.txt").read_text().splitlines()


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nine clips of one second, all different, and their table."""
    root = tmp_path_factory.mktemp("footage")
    for number in range(CLIPS):
        write_clip(root / f"clip{number}.mp4", steady_ms(10), gop=4 + number)
    names = sorted(path.name for path in root.iterdir())
    table = list(build_video_table(root, names, DecodeLimits(), POLICY, workers=1))
    assert len({row.digest for row in table}) == CLIPS
    (root / "videos.jsonl").write_text(dump_jsonl(table))
    return root


@pytest.fixture(scope="module")
def whole(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(footage / "videos.jsonl", folder)
    assert job(folder, workers=2) == 0
    assert len(FeatureStore(folder / "store")) == CLIPS == len(computed(folder))
    return files(folder / "store")


@pytest.mark.ci_sample
def test_killed_twice_it_resumes_at_the_shard_and_gives_the_same_bytes(
    footage: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    shutil.copy(footage / "videos.jsonl", tmp_path)
    assert job(tmp_path, kill_after=5) == -signal.SIGKILL
    assert not (tmp_path / "store").exists()
    # Two shards of two clips were full; the fifth clip was in the third.
    assert len(computed(tmp_path)) == 5
    assert job(tmp_path, workers=2, kill_after=1) == -signal.SIGKILL
    assert job(tmp_path) == 0
    assert files(tmp_path / "store") == whole
    order = sorted(set(computed(tmp_path)))
    assert computed(tmp_path) == [*order[:5], order[4], *order[4:]]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".tmp")]


def test_an_encoder_process_that_is_killed_costs_a_retry(
    footage: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    shutil.copy(footage / "videos.jsonl", tmp_path)
    process = subprocess.Popen([sys.executable, str(JOB), str(tmp_path), "1", "0"])
    killed = None
    while killed is None and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            if "multiprocessing.spawn" in " ".join(child.cmdline()):
                killed = child
        time.sleep(0.01)
    assert killed is not None
    killed.kill()
    assert process.wait() == 0
    assert files(tmp_path / "store") == whole
