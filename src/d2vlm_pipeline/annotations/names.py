"""Which video file a row means: names come without folder, without extension, or from a stranger."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from posixpath import normpath

from d2vlm_pipeline.annotations.draft import RowError
from d2vlm_pipeline.annotations.rejection import RejectionCode
from d2vlm_pipeline.video.naming import name_fault, shown, stem_of

_PLACEHOLDERS = re.compile(r"(\{id\}|\{name\})")
_CODES: dict[str, RejectionCode] = {"bad_name": "bad_video_name", "outside_root": "outside_root"}


class VideoNames:
    """The videos of a folder, found by what annotations call them.

    A row's name, put into `pattern`, is the name of a file; where there is none, that of the one file that
    differs in its extension alone.
    """

    def __init__(self, names: Iterable[str], pattern: str = "{id}") -> None:
        self._names = frozenset(names)
        self._pattern = pattern
        self._by_stem: dict[str, list[str]] = {}
        for name in sorted(self._names):
            self._by_stem.setdefault(stem_of(name), []).append(name)

    def find(self, named: str) -> str:
        """Name of the file, relative to the folder.

        Raises:
            RowError: the name is none that may be opened, there is no such file, or there are several.
        """
        if fault := name_fault(named):
            raise RowError(_CODES[fault.code], f"video {shown(named)!r}: {fault.detail}")
        # One pass: braces in a stranger's name are no placeholders.
        parts = {"{id}": named, "{name}": stem_of(PurePosixPath(named).name)}
        wanted = normpath("".join(parts.get(piece, piece) for piece in _PLACEHOLDERS.split(self._pattern)))
        if wanted in self._names:
            return wanted
        found = self._by_stem.get(wanted) or self._by_stem.get(stem_of(wanted), [])
        if len(found) > 1:
            raise RowError("ambiguous_video", f"{shown(named)} may be {' or '.join(found[:3])}")
        if not found:
            raise RowError("missing_video", f"no video {shown(wanted)!r}")
        return found[0]
