"""Being asked to stop, where others do the work: a file that the run's process writes, and workers watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from d2vlm_pipeline.training.signals import handling, request_stop

_FILE = "stop"
_LOOK_EVERY_S = 0.5


@contextmanager
def passing_on_signals(folder: Path) -> Iterator[None]:
    """Inside the block, signals that ask this process to stop are passed on to the workers of a run."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        (folder / _FILE).write_text(str(number), encoding="utf-8")

    with handling(pass_on):
        yield


@contextmanager
def told_to_stop(folder: Path, stop: Callable[[int], None] = request_stop) -> Iterator[None]:
    """Inside the block, this worker's loop stops behind its step once the run's process was asked to."""
    ends = threading.Event()

    def look() -> None:
        while not ends.wait(_LOOK_EVERY_S):
            if (folder / _FILE).is_file() and (text := (folder / _FILE).read_text(encoding="utf-8")):
                stop(int(text))
                return

    thread = threading.Thread(target=look, name="told to stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
