"""Digests of what lies on the disk, without reading again what was read before and has not changed since."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import (
    MANIFEST_NAME,
    canonical_json,
    digest_file,
    digest_json,
    disk_told,
    new_temporary,
    read_manifest,
    read_marker,
)

_State = list[int]


class Contents:
    """Digests of files and folders.

    A file that has the size, the times and the inode that it had when it was last read is not read again.
    """

    def __init__(self, memory: Path) -> None:
        """Take up what is known.

        Args:
            memory: File that holds it between runs; it may be missing, and is safe to delete.
        """
        self._memory = memory
        self._known: dict[str, tuple[_State, str]] = _remembered(memory)
        self._is_new = False

    def of(self, path: Path) -> str:
        """Digest of the file or folder that is there: of names and content."""
        if not path.is_dir():
            return self._file(path)
        return digest_json({name: self._file(path / name) for name in sorted(_names_below(path))})

    def of_files(self, paths: Iterable[Path]) -> str:
        """Digest of several files, by name and content; of those that are gone, that they are."""
        return digest_json({str(path): self._file(path) if path.is_file() else None for path in paths})

    def written(self, path: Path) -> str | None:
        """The same of what the atomic layer wrote or has just verified; no content is read.

        None where nothing whole is there.
        """
        if path.is_dir():
            entries = {name: entry.sha256 for name, entry in read_manifest(path).files.items()}
            for name, digest in entries.items():
                self._remember(path / name, digest)
            return digest_json(entries)
        marked = read_marker(path) if path.is_file() else None
        if marked is not None:
            self._remember(path, marked)
        return marked

    def save(self) -> None:
        """Keep what was learned; forget files that are gone."""
        if self._is_new:
            there = {path: known for path, known in self._known.items() if os.path.exists(path)}
            temporary = new_temporary(self._memory)
            try:
                with disk_told(self._memory, temporary):
                    temporary.write_text(canonical_json(there) + "\n", encoding="utf-8")
                    os.replace(temporary, self._memory)  # no fsync: what is lost is read again
            finally:
                temporary.unlink(missing_ok=True)
            self._is_new = False

    def _file(self, path: Path) -> str:
        known = self._known.get(str(path))
        if known is not None and known[0] == _state(path):
            return known[1]
        state, digest = _state(path), digest_file(path)
        self._known[str(path)] = (state, digest)
        self._is_new = True
        return digest

    def _remember(self, path: Path, digest: str) -> None:
        known = _state(path), digest
        if self._known.get(str(path)) != known:
            self._known[str(path)] = known
            self._is_new = True


def _state(path: Path) -> _State:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _names_below(folder: Path) -> Iterable[str]:
    for place, _, files in os.walk(folder):
        below = Path(place).relative_to(folder)
        yield from ((below / name).as_posix() for name in files if below.parts or name != MANIFEST_NAME)


def _remembered(memory: Path) -> dict[str, tuple[_State, str]]:
    try:
        known: dict[str, Any] = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # costs a reading of everything, and nothing else
    return {path: (state, digest) for path, (state, digest) in known.items()}
