"""Which names of videos may be opened at all, before any file system is asked."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

VIDEO_SUFFIXES = frozenset(
    f".{extension}"
    for extension in (
        *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf"),
        *("ogg", "ogv", "ts", "webm", "wmv"),
    )
)
"""Extensions of the containers that are opened."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class NameFault(NamedTuple):
    """Why a name is refused: a code of `VideoReason`, and the words for it."""

    code: Literal["bad_name", "outside_root"]
    detail: str


def name_fault(name: str) -> NameFault | None:
    """What is wrong with a stranger's name for a file below some folder; None where nothing is.

    Refused are empty names, control characters (NUL among them), broken Unicode, addresses, absolute paths
    and paths with `..`.
    """
    if not name.strip():
        return NameFault("bad_name", "the name is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return NameFault("bad_name", "the name holds a control character")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return NameFault("bad_name", "the name is not valid Unicode")
    if _SCHEME.match(name):
        return NameFault("bad_name", "the name is an address; only files are opened")
    if ".." in re.split(r"[/\\]", name):
        return NameFault("outside_root", "the path leads out of the video folder")
    if name.startswith(("/", "\\", "~")):
        return NameFault("outside_root", "the path is absolute")
    return None


def shown(name: str, limit: int = 80) -> str:
    """A stranger's name in a message: printable, on one line, of at most so many characters."""
    printable = "".join(character if character.isprintable() else "?" for character in name[: limit + 1])
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"


def is_video(name: str) -> bool:
    """Whether a file calls itself a video."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def stem_of(name: str) -> str:
    """The name without an extension of videos; dots elsewhere belong to it."""
    return name.removesuffix(PurePosixPath(name).suffix) if is_video(name) else name
