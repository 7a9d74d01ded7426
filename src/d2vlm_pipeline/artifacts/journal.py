"""A file that work is appended to as it is done: after a kill, what was finished is found and nothing else.

One line a record: `{"key", "of", "record", "sum"}`. An entry is the records of one key, written at once and
forced to the disk; it counts when all of its lines are there. A line that was half written, or changed since,
does not count, and with it goes its entry.
"""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from d2vlm_pipeline.artifacts.atomic import fsync_directory, fsync_file, new_temporary
from d2vlm_pipeline.artifacts.digests import canonical_json, digest_json
from d2vlm_pipeline.artifacts.locks import locked

logger = logging.getLogger(__name__)

_Record = TypeVar("_Record")
_SUM_LENGTH = 16


class Resumable(ABC, Generic[_Record]):
    """Records that are computed as they are asked for, and need not be computed twice."""

    @abstractmethod
    def resumed(self, journal: Path) -> Iterator[_Record]:
        """All records, in order; those that a journal holds are read from it, new ones go into it."""


class Journal:
    """Entries by key; see `open_journal`."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a half-written end is cut off."""
        self._path = path
        self._places: dict[str, list[tuple[int, int]]] = {}
        self.damaged = 0
        if path.exists():
            self._scan()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def read(self, key: str) -> list[str]:
        """Records of an entry, as JSON."""
        with self._path.open("rb") as file:
            lines = [_line(file, *place) for place in self._places[key]]
        return [canonical_json(json.loads(line)["record"]) for line in lines]

    def append(self, key: str, records: Sequence[Any]) -> None:
        """Write an entry, whole and to the disk before this returns."""
        lines = [_sealed(key, len(records), record) for record in records]
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            at = file.tell()
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            fsync_directory(self._path.parent)
        self._places[key] = _places(at, lines)

    def keep(self, keys: Iterable[str]) -> None:
        """Drop every entry but these, where there are others."""
        wanted = {key: self._places[key] for key in keys if key in self}
        if len(wanted) == len(self._places) and not self.damaged:
            return
        temporary, kept = new_temporary(self._path), {}
        try:
            with self._path.open("rb") as old, temporary.open("wb") as new:
                for key, places in wanted.items():
                    lines = [_line(old, *place) for place in places]
                    kept[key] = _places(new.tell(), lines)
                    new.write(b"".join(lines))
            fsync_file(temporary)
            os.replace(temporary, self._path)
            fsync_directory(self._path.parent)
        finally:
            temporary.unlink(missing_ok=True)
        self._places, self.damaged = kept, 0

    def _scan(self) -> None:
        found: dict[str, list[tuple[int, int]]] = {}
        sizes: dict[str, int] = {}
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    self.damaged += 1
                    break
                entry = _checked(line)
                if entry is None:
                    self.damaged += 1
                else:
                    found.setdefault(entry["key"], []).append((whole, len(line)))
                    sizes[entry["key"]] = entry["of"]
                whole += len(line)
        if whole < self._path.stat().st_size:
            os.truncate(self._path, whole)
        # Of an entry that was written again after damage, the last lines count.
        self._places = {
            key: places[-sizes[key] :] for key, places in found.items() if len(places) >= sizes[key]
        }


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """The journal of that name, made where there is none; one process at a time.

    Raises:
        UserError: another run writes to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), f"{path}: another run is writing here"):
        journal = Journal(path)
        if journal.damaged:
            logger.warning("%s: %d lines are not whole and do not count", path, journal.damaged)
        yield journal


def _sealed(key: str, of: int, record: Any) -> bytes:
    entry = {"key": key, "of": of, "record": record}
    return (canonical_json({**entry, "sum": _sum(entry)}) + "\n").encode()


def _checked(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None where it is not what was written."""
    try:
        entry: dict[str, Any] = json.loads(line)
        is_sound = entry.pop("sum") == _sum(entry) and entry.keys() == {"key", "of", "record"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if is_sound else None


def _sum(entry: dict[str, Any]) -> str:
    return digest_json(entry)[:_SUM_LENGTH]


def _line(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _places(at: int, lines: Sequence[bytes]) -> list[tuple[int, int]]:
    places = []
    for line in lines:
        places.append((at, len(line)))
        at += len(line)
    return places
