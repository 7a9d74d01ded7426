"""`kedro run` is asked to stop while it trains: a checkpoint, one line, and later the same weights."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from faults.runs import COMMAND, completed, copy_project, environment, kedro
from faults.sameness import content, leftovers, processes

pytestmark = pytest.mark.slow

STEPS, LONGEST_S = 150, 240.0
ON_RAY = ("--runner", "d2vlm_pipeline.orchestration.RayRunner")
TWO = ("train.workers=2", "sft.clips_per_step=2", "sft.branches_per_clip=1")


@dataclass(frozen=True)
class Way:
    """Where a phase trains: the run's options and parameters."""

    options: tuple[str, ...] = ()
    params: tuple[str, ...] = ()

    def command(self) -> list[str]:
        params = ",".join([f"sft.steps={STEPS}", "sft.checkpoints.every_steps=10", *self.params])
        return kedro(*COMMAND, "--pipelines", "sft", "--params", params, *self.options)


WAYS = {
    "its own process": (Way(), signal.SIGTERM),
    "workers of Ray Train": (Way(params=TWO), signal.SIGUSR2),
    "a node on Ray": (Way(ON_RAY), signal.SIGTERM),
    "workers of a node on Ray": (Way(ON_RAY, TWO), signal.SIGTERM),
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with samples and features, and nothing trained."""
    root = copy_project(tmp_path_factory.mktemp("ingested") / "project")
    completed(root, "--pipelines", "ingestion,features")
    return root


@pytest.fixture(scope="module")
def undisturbed(
    ingested: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[tuple[str, ...]], dict[str, str]]:
    """What a run leaves that nobody stops, by its parameters; without Ray's runner, which changes no byte."""
    known: dict[tuple[str, ...], dict[str, str]] = {}

    def left(params: tuple[str, ...]) -> dict[str, str]:
        if params not in known:
            root = tmp_path_factory.mktemp("undisturbed") / "project"
            shutil.copytree(ingested, root, ignore=shutil.ignore_patterns("mlruns"))
            status, said = ended(begun(root, Way(params=params), "undisturbed"))
            assert status == 0, said[-3000:]
            known[params] = content(root / "data/faults")
        return known[params]

    return left


def begun(root: Path, way: Way, mark: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        way.command(),
        cwd=root,
        env=environment(mark),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=LONGEST_S)
    return process.returncode, said


def trains(root: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the phase has made its first checkpoint."""
    deadline_s = time.monotonic() + LONGEST_S
    folder = root / "data/faults/06_models/checkpoints/sft"
    while not list(folder.glob("step-*")):
        assert process.poll() is None and time.monotonic() < deadline_s, process.communicate()[0][-3000:]
        time.sleep(0.02)


@pytest.mark.parametrize("where", WAYS)
def test_a_run_that_is_stopped_keeps_its_steps_and_ends_with_the_same_bytes(
    where: str,
    ingested: Path,
    undisturbed: Callable[[tuple[str, ...]], dict[str, str]],
    tmp_path: Path,
) -> None:
    way, number = WAYS[where]
    root, mark = tmp_path / "project", f"stopped-{tmp_path.name}"
    shutil.copytree(ingested, root, ignore=shutil.ignore_patterns("mlruns"))
    process = begun(root, way, mark)
    trains(root, process)
    process.send_signal(number)
    status, said = ended(process)
    assert status == 128 + number, said[-3000:]
    words = " ".join(said.split())
    assert f"sft: stopped by {number.name} behind step " in words, said[-3000:]
    assert "the same command goes on" in words and "Traceback" not in said
    assert not psutil.wait_procs(processes(mark), timeout=60.0)[1], "nothing of it is left running"
    assert leftovers(root) == []
    status, said = ended(begun(root, way, mark))
    assert status == 0, said[-3000:]
    assert "sft: goes on behind step " in said
    assert content(root / "data/faults") == undisturbed(way.params)
