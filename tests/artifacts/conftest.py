"""Faults on demand: any chosen call into the file system fails, or is the last thing the process does."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import settings

# Property tests must not fail because the machine is busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

Primitive = tuple[Any, str]
"""Owner and name of a function: (os, "replace")."""


class Faults:
    """Counts calls into file-system primitives and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def count(self, primitives: Sequence[Primitive], write: Callable[[], None]) -> int:
        """Number of calls that `write` makes."""
        with self._monkeypatch.context() as patch:
            calls = _intercept(patch, primitives, step=None, fail=_disk_full)
            write()
        return calls[0]

    def error_at(self, step: int, primitives: Sequence[Primitive], write: Callable[[], None]) -> None:
        """Run `write` with its call number `step` (from 0) raising "No space left on device"."""
        with self._monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            _intercept(patch, primitives, step, fail=_disk_full)
            write()

    def kill_at(self, step: int, primitives: Sequence[Primitive], write: Callable[[], None]) -> None:
        """Run `write` in a child process that dies, without any cleaning up, on reaching call `step`."""
        child = os.fork()
        if child == 0:
            try:
                _intercept(self._monkeypatch, primitives, step, fail=lambda: os._exit(42))
                write()
            finally:
                os._exit(1)  # never let a second pytest run on
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Fault injection that is undone after the test."""
    return Faults(monkeypatch)


def _disk_full() -> None:
    raise OSError(28, "No space left on device")


def _intercept(
    patch: pytest.MonkeyPatch, primitives: Sequence[Primitive], step: int | None, fail: Callable[[], None]
) -> list[int]:
    calls = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if step is not None and calls[0] == step + 1:
                fail()
            return real(*args, **kwargs)

        return call

    for owner, name in primitives:
        patch.setattr(owner, name, counted(getattr(owner, name)))
    return calls
