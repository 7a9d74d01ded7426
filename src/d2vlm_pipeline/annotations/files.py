"""Annotation files as they come: any size, any encoding, any nesting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations.draft import Fault
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import LineError, scan_lines

_MIB = 1 << 20


class JSONObject(dict[str, Any]):
    """A JSON object that remembers keys written more than once, which a plain one would lose in silence."""

    # Nearly every object has none, and files hold hundreds of thousands: no list for each.
    __slots__ = ("repeated",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: tuple[str, ...] = ()
        if len(self) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.repeated = tuple(key for key, count in counts.items() for _ in range(count - 1))
            self.update(reversed(pairs))  # the first of several holds


def checked_file(path: Path, max_file_mb: int) -> Path:
    """The path of a regular file that is not too large.

    Raises:
        UserError: it is none.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    size_mb = path.stat().st_size / _MIB
    if size_mb > max_file_mb:
        raise UserError(
            f"{path}: {size_mb:.0f} MiB, more than max_file_mb={max_file_mb}; raise it or split the file"
        )
    return path


def read_json(path: Path, max_file_mb: int) -> Any:
    """The value of a JSON file; objects are `JSONObject`, NaN and Infinity are numbers that rows refuse.

    Raises:
        UserError: no such file, too large, or no JSON; names the line.
    """
    try:
        text = checked_file(path, max_file_mb).read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=JSONObject)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}); correct the line") from None
    except RecursionError:
        raise UserError(f"{path}: brackets are nested too deeply; give a file of the format") from None
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"{path}: not JSON ({error}); correct the number") from None


def list_entries(
    path: Path, max_file_mb: int, key: str | None = None
) -> Iterator[tuple[int, Any] | Fault]:
    """(number from 1, entry) of a JSON list, or of the list under `key` of a JSON object.

    Of an entry that writes a key twice, a Fault.

    Raises:
        UserError: as `read_json`, or the file is something else.
    """
    found = _found(path, max_file_mb, key)
    if not isinstance(found, list):
        where = "a JSON list" if key is None else f"a JSON object with a list {key!r}"
        raise UserError(f"{path}: expected {where}; check the format")
    for line, entry in enumerate(found, start=1):
        yield _twice_written(line, entry) or (line, entry)


def object_entries(
    path: Path, max_file_mb: int, key: str | None = None
) -> Iterator[tuple[int, str, Any] | Fault]:
    """(number from 1, name, entry) of a JSON object of entries by name; of a name given again, a Fault.

    Raises:
        UserError: as `read_json`, or the file is something else.
    """
    found = _found(path, max_file_mb, key)
    if not isinstance(found, JSONObject):
        where = "a JSON object" if key is None else f"a JSON object with an object {key!r}"
        raise UserError(f"{path}: expected {where} of entries by video; check the format")
    for line, (name, entry) in enumerate(found.items(), start=1):
        yield _twice_written(line, entry, name) or (line, name, entry)
    for line, name in enumerate(found.repeated, len(found) + 1):
        yield Fault(line, "duplicate_id", f"the key {name!r} is written more than once", name)


def _found(path: Path, max_file_mb: int, key: str | None) -> Any:
    """A file's value; of a JSON object what stands under the key, where one is given."""
    value = read_json(path, max_file_mb)
    return value.get(key) if key is not None and isinstance(value, dict) else value


def _twice_written(line: int, entry: Any, video: str | None = None) -> Fault | None:
    if isinstance(entry, JSONObject) and entry.repeated:
        reason = f"the key {entry.repeated[0]!r} is written more than once"
        return Fault(line, "invalid_record", reason, video)
    return None


def json_lines(path: Path) -> Iterator[tuple[int, Any] | Fault]:
    """(line from 1, value) of a file of JSON lines; of a line that is none, a Fault. Blank lines are nothing.

    Raises:
        UserError: no such file.
    """
    for line, raw in scan_lines(path):
        if isinstance(raw, LineError):
            yield Fault(line, "oversized_line", raw.reason)
            continue
        try:
            value = json.loads(raw, object_pairs_hook=JSONObject)
        except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number of thousands of digits
            yield Fault(line, "malformed_line", f"not JSON ({error})")
            continue
        yield _twice_written(line, value) or (line, value)
