"""Being asked to stop: SIGTERM, as schedulers send it, and SIGUSR2.

Inside the loop a request waits for the end of the step, so that a checkpoint can be written; before it there
is nothing to keep, and it ends what runs there and then.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from d2vlm_pipeline.artifacts import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class _Request:
    """What this process was asked for, and whether that has to wait."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.waits = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            if not self.waits:
                raise _stopped(number)


_request = _Request()


def request_stop(number: int = signal.SIGTERM) -> None:
    """Ask the loop of this process to stop behind its step, as the signal would; from any thread."""
    _request.signal = _request.signal or number


def stop_requested() -> int | None:
    """The signal that asked the process to stop, if any did."""
    return _request.signal


def check_stop() -> None:
    """End here if that was asked for.

    Raises:
        Interrupted: it was.
    """
    if _request.signal is not None:
        raise _stopped(_request.signal)


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Inside the block `SIGNALS` go to a handler, and behind it they do what they did before.

    In the main thread alone: elsewhere Python has no say in it, and nothing happens.
    """
    if not _in_main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside the block signals ask to stop; outside the main thread, `request_stop` is there for it."""
    try:
        with handling(_request):
            yield
    finally:
        if _in_main_thread():
            _request.signal = None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def until_the_step_ends() -> Iterator[None]:
    """Inside the block a request waits until someone asks for it."""
    check_stop()
    _request.waits = True
    try:
        yield
    finally:
        _request.waits = False


def _stopped(number: int) -> Interrupted:
    name = signal.Signals(number).name
    told = f"stopped by {name}; nothing half-done is left behind: the same command goes on"
    return Interrupted(told, number)
