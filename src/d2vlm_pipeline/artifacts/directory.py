"""Directories that appear whole: built beside their place, listed in MANIFEST.json, renamed in one step."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts.atomic import (
    file_is_complete,
    fsync_directory,
    fsync_file,
    new_temporary,
    verify_file,
)
from d2vlm_pipeline.artifacts.config import StrictModel
from d2vlm_pipeline.artifacts.digests import canonical_json, digest_file
from d2vlm_pipeline.artifacts.disk import disk_told
from d2vlm_pipeline.artifacts.errors import UserError, validation_reason

MANIFEST_NAME = "MANIFEST.json"


class ManifestEntry(StrictModel):
    """One file of an atomic directory."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(StrictModel):
    """Every file of a directory except the manifest itself, by its POSIX path below the directory."""

    files: dict[str, ManifestEntry]


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Give an empty temporary directory to fill; on success it becomes `path`, replacing what was there.

    All files are fsynced and hashed, MANIFEST.json is written last, then the directory is renamed. On an
    exception inside the block nothing at `path` changes.

    Raises:
        UserError: the block left a symbolic link or special file, or its own MANIFEST.json.
        DiskError: the disk refused; `path` is then old and complete, new and complete, or missing.
    """
    path = Path(path)
    temporary = new_temporary(path)
    try:
        with disk_told(path, temporary):
            temporary.mkdir()
            yield temporary
            _seal(temporary)
            _swap_in(temporary, path)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def read_manifest(path: Path | str) -> Manifest:
    """Manifest of an atomic directory.

    Raises:
        UserError: there is none, or it is malformed.
    """
    manifest = Path(path) / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(manifest.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path}: incomplete (no {MANIFEST_NAME}); run the step that makes it again"
        ) from None
    except ValidationError as error:
        raise UserError(f"{manifest}: {validation_reason(error)}; run the step that makes it again") from None


def is_complete(path: Path | str) -> bool:
    """Whether a file or directory was written to its end; cheap, reads no content (`verify` does).

    A file is complete with its marker; a directory when every file of its manifest is there with its size.
    """
    path = Path(path)
    if not path.is_dir():
        return file_is_complete(path)
    try:
        expected = read_manifest(path).files
    except UserError:
        return False
    return all(_has_size(path / name, entry.bytes) for name, entry in expected.items())


def verify(path: Path | str) -> None:
    """Re-hash a file against its marker, or a directory against its manifest.

    Raises:
        UserError: missing, incomplete, changed, or (a directory) with files that the manifest does not list.
    """
    path = Path(path)
    if path.is_dir():
        _verify_directory(path)
    else:
        verify_file(path)


def _verify_directory(path: Path) -> None:
    expected = read_manifest(path).files
    present = {name for name in files_below(path) if name != MANIFEST_NAME}
    for name in sorted(expected.keys() | present):
        if name not in present:
            raise UserError(f"{path / name}: missing; run the step that makes {path} again")
        if name not in expected:
            raise UserError(
                f"{path / name}: not in {MANIFEST_NAME}; delete it or run the step that makes {path} again"
            )
        if digest_file(path / name) != expected[name].sha256:
            raise UserError(
                f"{path / name}: content does not match {MANIFEST_NAME}; run the step that makes {path} again"
            )


def _seal(directory: Path) -> None:
    """Hash and fsync every file, write the manifest, fsync every directory."""
    names = sorted(files_below(directory))
    if MANIFEST_NAME in names:
        raise UserError(f"{directory}: {MANIFEST_NAME} is written by the seal; choose another file name")
    for name in names:
        fsync_file(directory / name)
    entries = {name: _entry(directory / name) for name in names}
    manifest = directory / MANIFEST_NAME
    manifest.write_text(canonical_json(Manifest(files=entries)) + "\n", encoding="utf-8")
    fsync_file(manifest)
    for folder, _, _ in os.walk(directory, topdown=False):
        fsync_directory(Path(folder))


def _entry(file: Path) -> ManifestEntry:
    return ManifestEntry(sha256=digest_file(file), bytes=file.stat().st_size)


def _swap_in(source: Path, target: Path) -> None:
    """Rename `source` to `target`; what is in the way steps aside first, and comes back if that fails."""
    if not target.exists():
        os.replace(source, target)
        fsync_directory(target.parent)
        return
    retired = new_temporary(target)
    os.replace(target, retired)
    try:
        os.replace(source, target)
    except OSError:
        os.replace(retired, target)
        raise
    try:
        fsync_directory(target.parent)
    finally:
        _delete(retired)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def files_below(directory: Path) -> Iterator[str]:
    """POSIX paths, relative to `directory`, of its files.

    Raises:
        UserError: a link, whose content lies elsewhere, or a special file.
    """
    for folder, subfolders, files in os.walk(directory):
        for name in [*subfolders, *files]:
            entry = Path(folder) / name
            if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                raise UserError(f"{entry}: links and special files cannot be sealed; write a plain file")
        for name in files:
            yield (Path(folder) / name).relative_to(directory).as_posix()


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size
