"""What a disk refuses, said so that a person can mend it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d2vlm_pipeline.artifacts.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EIO, errno.EROFS}
# Libraries that write by themselves (safetensors, tokenizers, SQLite) put what the system said into errors of
# their own.
_SAID_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|database or disk is full"
)
_SAID_BROKEN = re.compile(r"Input/output error|Read-only file system|disk I/O error")


class DiskError(UserError, OSError):
    """The disk took no more, or nothing at all: the message says what of, and how much room there is."""


class NoRoom(OSError):
    """The disk has less room than `size`, in bytes, which is what would be written to it."""

    def __init__(self, size: int) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size = size


def require_room(folder: Path, size: int) -> None:
    """Refuse to begin what the disk has no room for: libraries that find out later cannot say how much it is.

    Raises:
        NoRoom: fewer than `size` bytes are free where the folder lies.
    """
    if shutil.disk_usage(folder).free < size:
        raise NoRoom(size)


@contextmanager
def disk_told(path: Path, temporary: Path, size: int | None = None) -> Iterator[None]:
    """Say of what a disk refuses inside the block that it belongs to `path`.

    Args:
        path: what is being written.
        temporary: the file or directory that it is written to meanwhile, removed later by the caller.
        size: of it, where that is known.

    Raises:
        DiskError: in place of what the disk, or a library that writes to it, raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = disk_reason(error)
        if reason is None:
            raise
        written = _size(temporary)
        room = shutil.disk_usage(_there(path.parent)).free + written
        known = error.size if isinstance(error, NoRoom) else size or _size(path)
        raise DiskError(_line(path, reason, is_full(reason), written, known, room)) from error


def disk_reason(error: BaseException | None) -> str | None:
    """What a disk said, where that is what the error, or one that it came from, is about; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL | _BROKEN:
            return os.strerror(error.errno)
        if found := _SAID_FULL.search(str(error)) or _SAID_BROKEN.search(str(error)):
            return found.group()
        error = error.__cause__ or error.__context__
    return None


def is_full(reason: str) -> bool:
    """Whether room is what the disk lacks."""
    return _SAID_FULL.search(reason) is not None


def _megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e6:.1f} MB"


def _line(path: Path, reason: str, full: bool, written: int, known: int, room: int) -> str:
    if not full:
        return f"{path}: {reason}; see to the disk, then run the same command again"
    if known > room:
        takes = f"it takes {_megabytes(known)}, {_megabytes(known - room)} more than are free"
    else:
        takes = f"{_megabytes(written)} of it were written, and {_megabytes(room)} are free for it"
    return f"{path}: {reason}: {takes}; make room, then run the same command again: what is finished stays"


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else _there(folder.parent)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; 0 where nothing is."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
