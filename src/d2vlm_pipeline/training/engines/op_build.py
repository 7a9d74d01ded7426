"""DeepSpeed's operations in C++, compiled when they are first used: said, and not waited for in vain.

PyTorch marks a folder in which it compiles by a file named `lock`, and whoever finds it waits for it to go. A
process that is killed leaves it there, and everyone waits for ever. While a build runs its process holds the
file open: a lock that no process holds is stale.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

_LOG = logging.getLogger(__name__)
_SAY_EVERY_S = 15.0
_WORTH_SAYING_S = 1.0
_PROCESSES = Path("/proc")


class OpBuilder(Protocol):
    """What is used of DeepSpeed's builders."""

    name: str

    def load(self, verbose: bool = False) -> Any:
        """Compile where needed, and import."""
        ...


def build_op(builder: OpBuilder) -> None:
    """Compile an operation unless this machine has it, one process at a time, and load it.

    A stale lock is removed, with a warning; a build by another program is waited for, and said.
    """
    from torch.utils.cpp_extension import _get_build_directory

    folder = Path(_get_build_directory(builder.name, verbose=False))
    with _alone(folder.with_suffix(".guard"), builder.name):
        clear_lock(folder / "lock")
        if (folder / f"{builder.name}.so").is_file():
            builder.load(verbose=False)
            return
        _LOG.info(
            "DeepSpeed compiles %s into %s: once per machine, about a minute; interrupted, it begins again",
            builder.name,
            folder,
        )
        with _heartbeat(f"compiling {builder.name}"):
            builder.load(verbose=False)


def clear_lock(lock: Path) -> None:
    """Remove the lock of a build that is no more; wait for one that still runs, as PyTorch would."""
    if not lock.exists():
        return
    holder = _holder(lock)
    if holder is not None:
        _LOG.info("process %d compiles in %s: waiting for it", holder, lock.parent)
        return
    lock.unlink(missing_ok=True)
    _LOG.warning("%s was left by a build that was killed: removed, and compiled again", lock)


def _holder(lock: Path) -> int | None:
    """A process that holds the file open, of those that may be looked at."""
    found = lock.resolve()
    for process in sorted(_PROCESSES.iterdir()):
        if not process.name.isdecimal():
            continue
        try:
            if any(opened.readlink() == found for opened in (process / "fd").iterdir()):
                return int(process.name)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # another user's, or gone
    return None


@contextmanager
def _alone(guard: Path, name: str) -> Iterator[None]:
    """One process at a time inside the block; the kernel lets go of it when a process dies."""
    guard.parent.mkdir(parents=True, exist_ok=True)
    with guard.open("wb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _heartbeat(f"waiting for another process that compiles {name}"):
                fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def _heartbeat(what: str) -> Iterator[None]:
    """Say every few seconds that it still goes on, and in the end how long it took."""
    start_s, is_done = time.monotonic(), threading.Event()

    def say() -> None:
        while not is_done.wait(_SAY_EVERY_S):
            _LOG.info("%s: %.0f s", what, time.monotonic() - start_s)

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
    took_s = time.monotonic() - start_s
    if took_s >= _WORTH_SAYING_S:
        _LOG.info("%s: done after %.0f s", what, took_s)
