"""A run on Ray that loses a worker or a machine completes with the same bytes, or says what was lost."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from faults.processes import descendants_until_it_ends

pytestmark = pytest.mark.slow

JOB = Path(__file__).with_name("lost_workers_job.py")
TESTS = JOB.parents[1]


def job(folder: Path, fault: str, retries: int = 2) -> subprocess.CompletedProcess[str]:
    """A run, none of whose processes outlive it; its temporary files lie in the folder, if any are left."""
    (folder / "t").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, str(JOB), str(folder), fault, str(retries)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            "RAY_AUTH_MODE": "token",
            "HOME": str(folder),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = descendants_until_it_ends(process, look_every_s=0.1)
    out, errors = process.communicate(timeout=60)
    _, left = psutil.wait_procs(children, timeout=20)
    assert not left, "nothing of Ray is left running"
    assert not (folder / ".ray").exists(), "Ray has written nothing into the home folder"
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def files(folder: Path) -> dict[str, bytes]:
    root = folder / "data"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def starts(folder: Path) -> int:
    return len(list((folder / "started").iterdir()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run leaves that nothing disturbed, one node after the other."""
    folder = tmp_path_factory.mktemp("whole")
    assert job(folder, "nothing").returncode == 0
    assert len(files(folder)) >= 2 * 4 + 9
    return files(folder)


def test_a_worker_that_is_killed_costs_a_retry(whole: dict[str, bytes], tmp_path: Path) -> None:
    done = job(tmp_path, "worker")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == whole
    assert starts(tmp_path) == 5
    assert "lost its Ray worker (it was killed); attempt 2" in done.stderr


def test_a_machine_that_is_removed_costs_what_ran_there(whole: dict[str, bytes], tmp_path: Path) -> None:
    done = job(tmp_path, "machine")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == whole
    assert starts(tmp_path) == 4 + int((tmp_path / "lost").read_text())


def test_a_worker_lost_too_often_is_named_with_the_mend(tmp_path: Path) -> None:
    done = job(tmp_path, "worker", retries=0)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "UserError: hold_" in last and "its Ray worker was lost 1 times, at last because it was" in last
    assert "node_resources" in last and "the same command goes on from here" in last


def test_an_interrupted_run_leaves_nothing_running_and_nothing_half_written(tmp_path: Path) -> None:
    done = job(tmp_path, "interrupt")
    assert "KeyboardInterrupt" in done.stderr
    assert files(tmp_path) == {}
