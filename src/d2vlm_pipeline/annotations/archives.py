"""Annotation files that come in an archive: `labels.zip::train.json` names one of its files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.video.archive import Limits, is_archive, open_archive
from d2vlm_pipeline.video.naming import shown

SEPARATOR = "::"
_SHOWN = 5


@contextmanager
def opened_file(file: str, max_file_mb: int) -> Iterator[Path]:
    """Path of an annotation file; one in an archive is unpacked as long as the context lasts.

    Args:
        file: a path, or ``ARCHIVE::MEMBER``; an archive of a single file needs no member.
        max_file_mb: what the file may have, in MiB.

    Raises:
        UserError: no such file or member, or a member that is refused.
    """
    archive, _, wanted = file.partition(SEPARATOR)
    path = Path(archive).expanduser()
    if not is_archive(path):
        yield Path(file).expanduser()
        return
    with TemporaryDirectory(prefix="d2vlm-") as folder:
        target = Path(folder) / "annotations"
        found = _unpack(path, wanted, target, max_file_mb)
        if not target.exists():
            listed = ", ".join(shown(name) for name in found[:_SHOWN]) or "nothing"
            problem = f"no file {wanted!r} in it" if wanted else f"it holds {len(found)} files"
            raise UserError(f"{path}: {problem}; name one as {archive}{SEPARATOR}FILE (it holds {listed})")
        yield target


def _unpack(path: Path, wanted: str, target: Path, max_file_mb: int) -> list[str]:
    """Copy the member that is wanted, or the only one; the names of all."""
    names: list[str] = []
    with open_archive(path, Limits()) as members:
        for member in members:
            names.append(member.name)
            if wanted and member.name != posixpath.normpath(wanted):
                continue
            if member.copy_to is None:
                raise UserError(f"{path}: {shown(member.name)}: {member.detail}; unpack it yourself and look")
            if member.size > max_file_mb << 20:
                raise UserError(
                    f"{path}: {shown(member.name)} has {member.size >> 20} MiB, more than "
                    f"max_file_mb={max_file_mb}; raise it or split the file"
                )
            if wanted or len(names) == 1:
                member.copy_to(target)
            else:
                target.unlink(missing_ok=True)
    return names
