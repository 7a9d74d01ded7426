"""Tar and zip archives of strangers: listed and unpacked without leaving the folder given for them.

A member that would land elsewhere (`../x`, `/x`), that is a link or a device, or whose name cannot be trusted
is refused by name, and the others are unpacked: their content alone, without owners or modes. The archive as
a whole is refused where it holds more, or unpacks to more, than allowed: to skip a part of it would mean to
decompress that part.
"""

from __future__ import annotations

import gzip
import lzma
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.video.naming import name_fault, shown
from d2vlm_pipeline.video.source import VideoReason, video_error

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MIB = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError),
    NotImplementedError,  # a way of compressing that zipfile does not know
)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: members, and MiB when unpacked."""

    members: int = 200_000
    unpacked_mb: int = 100 << 10


@dataclass(frozen=True)
class Member:
    """A file in an archive; `code` and `detail` say why it is not unpacked.

    Attributes:
        name: in its plain form; of a refused one, as the archive gives it.
        copy_to: writes its content to a path that does not exist yet, or raises VideoError where a zip's
            member is damaged; None where it is refused.
    """

    name: str
    size: int
    code: VideoReason | None
    detail: str
    copy_to: Callable[[Path], None] | None


def is_archive(path: Path) -> bool:
    """Whether a file calls itself an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[Iterator[Member]]:
    """The members that are no folders, in their order; each is to be copied before the next is asked for.

    Raises:
        UserError: no such file, damaged, or beyond the limits.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as zipped:
                yield _limited(path, _zip_members(zipped), limits)
        else:
            with tarfile.open(path, "r:*") as tarred:
                yield _limited(path, _tar_members(tarred), limits)
    except _DAMAGED as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: damaged archive ({said}); copy or download it again") from None


def _limited(path: Path, members: Iterator[Member], limits: Limits) -> Iterator[Member]:
    unpacked, seen = 0, set[str]()
    for count, member in enumerate(members, start=1):
        unpacked += member.size
        if count > limits.members:
            raise UserError(f"{path}: more than {limits.members} members; raise max_members or split it")
        if unpacked > limits.unpacked_mb * _MIB:
            raise UserError(
                f"{path}: unpacks to more than {limits.unpacked_mb} MiB, at {shown(member.name)}; raise "
                "max_unpacked_mb or split it"
            )
        if member.name in seen:
            yield _refused(member.name, "duplicate_name", "the archive holds the name more than once")
            continue
        seen.add(member.name)
        yield member


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[Member]:
    for info in zipped.infolist():
        if info.is_dir():
            continue
        # `filename` ends at a NUL character and is what would be opened; `orig_filename` is what was written.
        name, mode = info.orig_filename, info.external_attr >> 16
        if refusal := _name_refusal(name):
            yield refusal
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield _refused(name, "not_a_file", "the archive holds a link or a device, no file")
        elif info.flag_bits & 0x1:
            yield _refused(name, "unreadable", "it is encrypted")
        else:
            whole = _readable(name, info.file_size, partial(zipped.open, info))
            yield replace(whole, copy_to=partial(_copy_or_refuse, whole))


def _copy_or_refuse(member: Member, path: Path) -> None:
    """Copy a member of a zip archive, whose damage, unlike a tar's, is its own.

    Raises:
        VideoError: it is damaged, or compressed in a way that is not known.
    """
    assert member.copy_to is not None
    try:
        member.copy_to(path)
    except _DAMAGED as error:
        path.unlink(missing_ok=True)
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise video_error("truncated", member.name, f"damaged in the archive ({said})") from None


def _tar_members(tarred: tarfile.TarFile) -> Iterator[Member]:
    for info in tarred:
        if info.isdir():
            continue
        if refusal := _name_refusal(info.name):
            yield refusal
        elif not info.isreg():
            yield _refused(info.name, "not_a_file", "the archive holds a link or a device, no file")
        else:
            yield _readable(info.name, info.size, partial(_tar_file, tarred, info))


def _tar_file(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    opened = tarred.extractfile(info)
    assert opened is not None  # only links and folders have no content
    return opened


def _readable(name: str, size: int, opened: Callable[[], IO[bytes]]) -> Member:
    def copy_to(path: Path) -> None:
        with opened() as source, path.open("xb") as target:
            shutil.copyfileobj(source, target, _MIB)

    # `tar -C folder .` writes ./name.
    return Member(posixpath.normpath(name), size, None, "", copy_to)


def _name_refusal(name: str) -> Member | None:
    fault = name_fault(name)
    return None if fault is None else _refused(name, fault.code, fault.detail)


def _refused(name: str, code: VideoReason, detail: str) -> Member:
    return Member(name, 0, code, detail, None)
