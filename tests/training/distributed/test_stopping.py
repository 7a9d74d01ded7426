"""Signals on their way from the run's process to its workers, and checkpoints on theirs to Ray."""

import os
import signal
import threading
from pathlib import Path

from d2vlm_pipeline.training.distributed.stopping import passing_on_signals, told_to_stop


def test_a_signal_of_the_run_reaches_its_workers(tmp_path: Path) -> None:
    told: list[int] = []
    arrived = threading.Event()

    def stop(number: int) -> None:
        told.append(number)
        arrived.set()

    before = signal.getsignal(signal.SIGUSR2)
    with told_to_stop(tmp_path, stop), passing_on_signals(tmp_path):
        os.kill(os.getpid(), signal.SIGUSR2)
        assert arrived.wait(30.0)
    assert told == [signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR2) == before


def test_nobody_is_stopped_who_was_not_asked(tmp_path: Path) -> None:
    told: list[int] = []
    with told_to_stop(tmp_path, told.append), passing_on_signals(tmp_path):
        pass
    assert told == []
