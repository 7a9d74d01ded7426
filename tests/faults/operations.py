"""Every operation of a save, and one of them goes wrong: the disk refuses it, or the process dies of it.

What the files of a folder are changed by is counted: creating, writing (each piece that reaches the file),
cutting short, forcing to the disk, renaming, linking, making and removing. Reading is left alone.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Fault = Literal["EIO", "full", "torn", "dies before", "dies behind", "dies torn"]
ERRORS: tuple[Fault, ...] = ("EIO", "full", "torn")
DEATHS: tuple[Fault, ...] = ("dies behind", "dies before", "dies torn")
_DEAD = 42
# Of `os`: name, and which arguments are paths. Removing never fails here: it needs no room.
_CALLS = {"replace": 2, "rename": 2, "link": 2, "truncate": 1, "mkdir": 1}
_NEED_ROOM = ("create", "write", "truncate", "mkdir", "link")
_REMOVALS = {"unlink": 1, "remove": 1, "rmdir": 1}


@dataclass
class Operations:
    """Counts operations below a folder; operation `at` goes wrong, on a full disk also others behind it."""

    folder: Path
    at: int | None = None
    fault: Fault = "EIO"
    done: list[str] = field(default_factory=list)

    def do(self, what: str, path: Any, act: Callable[[], Any], part: Callable[[], Any] | None = None) -> Any:
        """One operation, or what becomes of it; `part`: half of it."""
        if not self._is_ours(path):
            return act()
        number = len(self.done)
        self.done.append(f"{what} {os.path.basename(os.fsdecode(path))}")
        is_removal = what in _REMOVALS
        if number == self.at:
            self._go_wrong(path, act, part, is_removal)
        elif self.fault == "full" and self.at is not None and number > self.at and what in _NEED_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return act()

    def _go_wrong(
        self, path: Any, act: Callable[[], Any], part: Callable[[], Any] | None, is_removal: bool
    ) -> None:
        if self.fault in ("torn", "dies torn") and part is not None:
            part()
        if self.fault in DEATHS:
            try:
                if self.fault == "dies behind":
                    act()
            finally:
                os._exit(_DEAD)
        if not is_removal:
            number = errno.ENOSPC if self.fault == "full" else errno.EIO
            raise OSError(number, os.strerror(number), path)

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and str(path).startswith(str(self.folder))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Operations of this process are counted inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, paths in (_CALLS | _REMOVALS).items():
                patch.setattr(os, name, self._call(name, getattr(os, name), paths))
            patch.setattr(os, "fsync", self._fsync)
            opened = self._opener(io.open)
            patch.setattr(io, "open", opened)
            patch.setattr(builtins, "open", opened)
            yield

    def _call(self, name: str, real: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            path = arguments[paths - 1]
            if name == "mkdir" and os.path.isdir(path):  # nothing is made
                return real(*arguments, **options)
            return self.do(name, path, lambda: real(*arguments, **options))

        return call

    def _fsync(self, descriptor: int) -> None:
        # What the disk is spared costs most of the time, and only a machine that loses its power can tell.
        self.do("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), lambda: None)

    def _opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            **options: Any,
        ) -> Any:
            if not set(mode) & set("wax+") or not self._is_ours(file):
                return real(file, mode, buffering, encoding, errors, newline, **options)
            raw = self.do("create", file, lambda: _File(self, file, mode.replace("b", "").replace("t", "")))
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

        return opened


class _File(io.FileIO):
    """A file whose writes are operations."""

    def __init__(self, operations: Operations, file: Any, mode: str) -> None:
        self._operations = operations
        super().__init__(file, mode)

    def write(self, data: Any) -> int:
        whole = bytes(data)
        part = whole[: len(whole) // 2]
        done: int = self._operations.do(
            "write", self.name, lambda: io.FileIO.write(self, whole), lambda: io.FileIO.write(self, part)
        )
        return done

    def truncate(self, size: int | None = None) -> int:
        done: int = self._operations.do("truncate", self.name, lambda: io.FileIO.truncate(self, size))
        return done


def count(folder: Path, save: Callable[[], None]) -> list[str]:
    """The operations of a save that nothing disturbs."""
    operations = Operations(folder)
    with operations.watched():
        save()
    return operations.done


def fail(folder: Path, at: int, fault: Fault, save: Callable[[], None]) -> Exception | None:
    """What a save raises whose operation `at` the disk refuses; None where it finds another way."""
    operations = Operations(folder, at, fault)
    with operations.watched():
        try:
            save()
        except Exception as error:
            return error
    return None


def die(folder: Path, at: int, fault: Fault, save: Callable[[], None]) -> None:
    """Save in a process of its own that dies at operation `at`, without a chance to tidy up."""
    child = os.fork()
    if child == 0:
        try:
            with Operations(folder, at, fault).watched():
                save()
        finally:
            os._exit(1)  # never let a second pytest run on
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == _DEAD
