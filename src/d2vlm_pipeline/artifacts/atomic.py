"""Files that are either whole or known not to be.

Order of a write: temporary name in the same directory, fsync, drop the old marker, rename, fsync the
directory, marker (same way). The marker `.NAME.sha256` is in the format of sha256sum. Whatever instant the
process or the machine dies at, the path holds either the old file with its marker, or a file without marker,
which `is_complete` refuses.
"""

import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d2vlm_pipeline.artifacts.digests import digest_file
from d2vlm_pipeline.artifacts.disk import disk_told
from d2vlm_pipeline.artifacts.errors import UserError

_MARKER_LINE = re.compile(r"([0-9a-f]{64}) {2}(.+)\n")
_TEMPORARY = re.compile(r"\.tmp-(?P<host>[^-]+)-(?P<pid>\d{1,9})-[0-9a-f]{8}\.(?P<name>.+)")


def marker_path(path: Path | str) -> Path:
    """Where the completion marker of the file `path` lies."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


@contextmanager
def atomic_file(path: Path | str, size: int | None = None) -> Iterator[Path]:
    """Give a temporary path with the same suffix to write to; on success it becomes `path`, marker last.

    On an exception inside the block nothing at `path` changes. Missing parent directories are made. `size`,
    in bytes, is what a message says where the disk has no room for it.

    Raises:
        DiskError: the disk refused; `path` is then old and complete, or incomplete.
        OSError: the block wrote no file.
    """
    path = Path(path)
    temporary = new_temporary(path)
    try:
        with disk_told(path, temporary, size):
            yield temporary
            fsync_file(temporary)
            digest = digest_file(temporary)
            _remove_marker(path)
            _rename(temporary, path)
            _write_marker(path, digest)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes_atomic(path: Path | str, data: bytes) -> None:
    """Write `data` to `path` as `atomic_file` does."""
    with atomic_file(path, len(data)) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, line ends unchanged, as `atomic_file` does."""
    write_bytes_atomic(path, text.encode("utf-8"))


def file_is_complete(path: Path) -> bool:
    """Whether the file and a well-formed marker for it are there; reads no content."""
    return path.is_file() and read_marker(path) is not None


def read_marker(path: Path) -> str | None:
    """SHA-256 in the marker of `path`; None without marker or with a malformed one. Reads no content."""
    try:
        text = marker_path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    match = _MARKER_LINE.fullmatch(text)
    return match.group(1) if match and match.group(2) == path.name else None


def verify_file(path: Path) -> None:
    """Re-hash the file against its marker.

    Raises:
        UserError: missing, incomplete (no marker) or changed since it was written.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; run the step that makes it")
    expected = read_marker(path)
    if expected is None:
        raise UserError(
            f"{path}: incomplete (no valid {marker_path(path).name}); run the step that makes it again"
        )
    if digest_file(path) != expected:
        raise UserError(
            f"{path}: content does not match its digest; delete it and run the step that makes it"
        )


def new_temporary(path: Path) -> Path:
    """Unused temporary sibling of `path`; sweeps what dead processes of this machine left for that name.

    Raises:
        DiskError: the disk has no room for the folder.
    """
    with disk_told(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(path.parent, path.name)
    return path.with_name(f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{path.name}")


def fsync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directory(path: Path) -> None:
    """Force the names in a directory (creations, renames, removals) to the disk."""
    fsync_file(path)


def _rename(source: Path, target: Path) -> None:
    os.replace(source, target)
    fsync_directory(target.parent)


def _remove_marker(path: Path) -> None:
    # On disk before the rename: otherwise a crash could leave new content under the old marker.
    marker_path(path).unlink(missing_ok=True)
    fsync_directory(path.parent)


def _write_marker(path: Path, digest: str) -> None:
    marker = marker_path(path)
    temporary = new_temporary(marker)
    try:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        fsync_file(temporary)
        _rename(temporary, marker)
    finally:
        temporary.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"


def sweep_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what dead processes of this machine left in a folder, of one name or of any."""
    # A killed process cannot clean up, and leftovers of feature stores and models fill a disk. Processes of
    # other machines on a shared disk cannot be asked whether they live: theirs stay.
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        match = _TEMPORARY.fullmatch(entry.name)
        if (
            not match
            or (name is not None and match["name"] != name)
            or match["host"] != _host()
            or _is_alive(int(match["pid"]))
        ):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)  # another process may be sweeping too
        else:
            Path(entry.path).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
