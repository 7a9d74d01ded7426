"""Files of predictions and of truth, read so that every mistake in them is one line naming file and place.

A place is a line (`p.jsonl:12`), an entry of a JSON list counted from 1 (`p.json: entry 12`), or a key of a
JSON object (`p.json: 'v_abc'`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations.draft import Fault
from d2vlm_pipeline.annotations.files import json_lines, list_entries, object_entries, read_json
from d2vlm_pipeline.artifacts import UserError, collector_paused
from d2vlm_pipeline.timeline import LineError, scan_lines

_MAX_FILE_MB = 4096
_MEND = "correct it"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """A piece of a file with the place it came from.

    Attributes:
        place: `file:line`, `file: entry N` or `file: 'key'`: how an error about it begins.
        value: JSON as read; objects are dicts.
        name: its key, where the file is an object by name.
    """

    place: str
    value: Any
    name: str = ""

    def error(self, what: str, mend: str = _MEND) -> UserError:
        """The mistake as one line: place, what is wrong, what to do."""
        return UserError(f"{self.place}: {what}; {mend}")

    def at(self, value: Any, inner: str) -> Row:
        """A part of this piece, `inner` saying which: `timestamps 3`."""
        return Row(f"{self.place}: {inner}", value)

    @property
    def object(self) -> dict[str, Any]:
        """The value as a JSON object.

        Raises:
            UserError: it is none.
        """
        if not isinstance(self.value, dict):
            raise self.error(f"expected a JSON object, got {shown(self.value)}")
        return self.value

    @property
    def items(self) -> list[Any]:
        """The value as a JSON list.

        Raises:
            UserError: it is none.
        """
        if not isinstance(self.value, list):
            raise self.error(f"expected a list, got {shown(self.value)}")
        return self.value

    @property
    def text(self) -> str:
        """The value as text that can be written out again.

        Raises:
            UserError: it is none, or holds half a surrogate pair, which no file can.
        """
        if not isinstance(self.value, str) or not _is_unicode(self.value):
            raise self.error(f"expected text, got {shown(self.value)}")
        return self.value

    @property
    def number(self) -> float:
        """The value as a finite number; a boolean or a number in quotes is none.

        Raises:
            UserError: it is none.
        """
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"expected a number, got {shown(value)}")
        try:
            number = float(value)
        except OverflowError:
            raise self.error(f"{shown(value)} is no finite number") from None
        if not math.isfinite(number):
            raise self.error(f"{shown(value)} is no finite number")
        return number

    @property
    def integer(self) -> int:
        """The value as an integer; a boolean is none.

        Raises:
            UserError: it is none.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.error(f"expected an integer, got {shown(self.value)}")
        return self.value

    @property
    def label(self) -> str:
        """The value as a name: text, or an integer written out.

        Raises:
            UserError: it is neither.
        """
        return self.text if isinstance(self.value, str) else str(self.integer)

    @property
    def span(self) -> tuple[float, float]:
        """The value as two finite numbers, seconds; their order is not checked.

        Raises:
            UserError: it is something else.
        """
        if not isinstance(self.value, list) or len(self.value) != 2:
            raise self.error(f"expected [start, end] in seconds, got {shown(self.value)}")
        start_s, end_s = self.numbers
        return start_s, end_s

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """The value as a list of [start, end]; errors as `span`."""
        return tuple(part.span for part in self.parts)

    @property
    def numbers(self) -> list[float]:
        """The value as a list of finite numbers; errors as `number`."""
        # Lists of scores are long: a place is made for the one that is wrong, not for each.
        if all(type(item) is float and math.isfinite(item) for item in self.items):
            return list(self.items)
        return [part.number for part in self.parts]

    @property
    def parts(self) -> list[Row]:
        """The entries of the value, a list, each knowing its number; errors as `items`."""
        return [self.at(item, f"item {number}") for number, item in enumerate(self.items, start=1)]

    def has(self, key: str) -> bool:
        """Whether the value, an object, holds the key with anything but null."""
        return self.object.get(key) is not None

    def __getitem__(self, key: str) -> Row:
        """What stands under a key of the value, an object.

        Raises:
            UserError: no such key, or no object.
        """
        if key not in self.object:
            raise self.error(f"no key {key!r}", "give a file of the benchmark's format")
        return self.at(self.object[key], key)


def load_json(path: Path) -> Row:
    """A JSON file as one piece, its place the file.

    Raises:
        UserError: no such file, empty, or no JSON; names the line.
    """
    _refuse_empty(path)
    with collector_paused():
        return Row(str(path), read_json(path, _MAX_FILE_MB))


def load_list(path: Path, key: str | None = None) -> list[Row]:
    """Entries of a JSON list, or of the list under `key` of a JSON object.

    Raises:
        UserError: as `load_json`, a key written twice, something else than a list, or no entry.
    """
    _refuse_empty(path)
    rows = []
    with collector_paused():
        for found in list_entries(path, _MAX_FILE_MB, key):
            if isinstance(found, Fault):
                raise Row(_entry(path, found.line), None).error(found.reason, "keep one of them")
            rows.append(Row(_entry(path, found[0]), found[1]))
    return _some(rows, path)


def load_object(path: Path, key: str | None = None) -> list[Row]:
    """Entries of a JSON object by name, or of the object under `key` of a JSON object.

    Raises:
        UserError: as `load_json`, a key written twice, something else than an object, or no entry.
    """
    _refuse_empty(path)
    rows = []
    with collector_paused():
        for found in object_entries(path, _MAX_FILE_MB, key):
            if isinstance(found, Fault):
                raise Row(_entry(path, found.line), None).error(found.reason, "keep one of them")
            place = f"{path}: {shown(found[1])}"
            rows.append(Row(place, found[2], Row(place, found[1]).text))
    return _some(rows, path)


def load_lines(path: Path) -> list[Row]:
    """Values of a file of JSON lines; blank lines are nothing.

    Raises:
        UserError: no such file, a line that is no JSON or writes a key twice, or no line.
    """
    rows = []
    with collector_paused():
        for found in json_lines(path):
            if isinstance(found, Fault):
                raise Row(f"{path}:{found.line}", None).error(found.reason, "correct the line")
            rows.append(Row(f"{path}:{found[0]}", found[1]))
    return _some(rows, path)


def load_text(path: Path) -> list[Row]:
    """Lines of a text file without their ends; blank lines are nothing.

    Raises:
        UserError: no such file, a line that is no UTF-8, or no line.
    """
    rows = []
    for line, raw in scan_lines(path):
        if isinstance(raw, LineError):
            raise raw
        try:
            rows.append(Row(f"{path}:{line}", raw.decode("utf-8").rstrip("\r\n")))
        except UnicodeDecodeError:
            raise Row(f"{path}:{line}", None).error("not UTF-8", "save the file as UTF-8") from None
    return _some(rows, path)


def unique(rows: Iterable[tuple[str, Row]], what: str = "entries") -> dict[str, Row]:
    """Rows by id.

    Raises:
        UserError: an id that came before; names both places' second.
    """
    found: dict[str, Row] = {}
    for name, row in rows:
        if name in found:
            raise row.error(f"two {what} for {name}, the first at {found[name].place}", "keep one of them")
        found[name] = row
    return found


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a one-line message."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "an integer of more than 60 digits"  # which Python may refuse to write out
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_unicode(text: str) -> bool:
    return text.isascii() or not _SURROGATE.search(text)


def _entry(path: Path, number: int) -> str:
    return f"{path}: entry {number}"


def _refuse_empty(path: Path) -> None:
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty; give one with entries")


def _some(rows: list[Row], path: Path) -> list[Row]:
    if not rows:
        raise UserError(f"{path}: no entries; give a file that has some")
    return rows
