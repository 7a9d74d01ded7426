"""Signals and kills, in processes of their own: what is left goes on to the same weights, to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import Interrupted
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.training import loop, phases
from d2vlm_pipeline.training.signals import SIGNALS, check_stop, stop_requested, stoppable
from training.tiny_phases import PHASES, outcome, store

TESTS = Path(__file__).parents[1]
STEPS = 60


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    return store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def undisturbed(clips: StoredClips) -> str:
    return outcome(PHASES["sft"](clips, None, steps=STEPS))


def training(folder: Path) -> "subprocess.Popen[str]":
    """A process that trains, once it has written a checkpoint."""
    command = [sys.executable, "-m", "training.tiny_phases", "sft", str(folder), f'{{"steps": {STEPS}}}']
    paths = os.pathsep.join([*sys.path, str(TESTS)])
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 120.0
    while not list(folder.glob("sft/step-*")) and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return process


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2], ids=lambda of: of.name)
def test_a_process_that_was_stopped_goes_on_in_another(
    number: signal.Signals, clips: StoredClips, undisturbed: str, tmp_path: Path
) -> None:
    process = training(tmp_path)
    process.send_signal(number)
    _, told = process.communicate(timeout=30.0)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        (line,) = told.strip().splitlines()
        assert line.startswith(f"sft: stopped by {number.name} behind step ")
        assert line.endswith(" holds it: the same command goes on from there")
    (newest, *_) = sorted((tmp_path / "sft").glob("step-*"), reverse=True)
    assert 0 < int(newest.name.removeprefix("step-")) < STEPS
    given = {"folder": str(tmp_path), "every_steps": 1000}
    assert outcome(PHASES["sft"](clips, given, steps=STEPS)) == undisturbed


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_loop_a_signal_ends_what_runs(
    number: signal.Signals, clips: StoredClips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]

    def encoding(*args: Any) -> None:
        os.kill(os.getpid(), number)
        time.sleep(20.0)

    monkeypatch.setattr(phases, "_encode", encoding)
    with pytest.raises(Interrupted, match=f"stopped by {number.name}; nothing half-done") as caught:
        PHASES["sft"](clips, {"folder": str(tmp_path)})
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert stop_requested() is None


def test_in_the_loop_it_waits_for_the_step(clips: StoredClips, monkeypatch: pytest.MonkeyPatch) -> None:
    descend, ended = loop.descend, []

    def interrupted(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR2)
        result = descend(*args)
        ended.append(stop_requested())
        return result

    monkeypatch.setattr(loop, "descend", interrupted)
    with pytest.raises(Interrupted, match=r"SIGUSR2 behind step 1 of 7; without sft\.checkpoints"):
        PHASES["sft"](clips, None)
    assert ended == [signal.SIGUSR2]


def test_a_request_is_forgotten_behind_the_block() -> None:
    with pytest.raises(Interrupted), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20.0)
    check_stop()
