"""Whether an MP4 or AVI file is as long as its outermost boxes say: the surest sign of a cut-off file."""

from __future__ import annotations

import os
from typing import BinaryIO

_HEADER_BYTES = 8
_MP4_BOXES = frozenset(
    b"ftyp moov mdat free skip wide styp sidx moof mfra emsg prft uuid meta udta pdin ssix".split()
)


def missing_bytes(file: BinaryIO) -> int:
    """How many bytes the file lacks of what its outermost boxes announce; 0 for other formats.

    Only a box of a known type counts: bytes that some cameras append after the last box are no announcement.
    """
    size_bytes = os.fstat(file.fileno()).st_size
    position = 0
    while position + _HEADER_BYTES <= size_bytes:
        length = _box_length(file, position, size_bytes)
        if length < _HEADER_BYTES:
            return 0
        position += length
    return max(0, position - size_bytes)


def is_mp4(file: BinaryIO) -> bool:
    """Whether the file starts like an MP4 or MOV."""
    file.seek(0)
    return file.read(_HEADER_BYTES)[4:] in _MP4_BOXES


def _box_length(file: BinaryIO, position: int, size_bytes: int) -> int:
    """Bytes of the box at `position`, header included; 0 where there is no known box."""
    file.seek(position)
    head = file.read(_HEADER_BYTES)
    if head[:4] == b"RIFF":
        length = int.from_bytes(head[4:], "little")
        return _HEADER_BYTES + length if length else 0
    if head[4:] not in _MP4_BOXES:
        return 0
    length = int.from_bytes(head[:4], "big")
    if length == 0:  # up to the end of the file
        return size_bytes - position
    if length == 1:  # a 64-bit length follows
        return int.from_bytes(file.read(8), "big")
    return length
