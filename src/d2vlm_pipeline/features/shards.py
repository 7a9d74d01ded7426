"""Shards: rows of consecutive clips in .npy files named by content, written as they come, not held whole."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from d2vlm_pipeline.artifacts import atomic_file, digest_file, new_temporary
from d2vlm_pipeline.features.index import DTYPE, ClipFeatures, IndexEntry, features_sha256

DEFAULT_SHARD_BYTES = 64 << 20
# Short clips: what a kill costs, and what is known of a shard's clips while it is open, has a bound, too.
MAX_SHARD_CLIPS = 1000


@dataclass(frozen=True)
class Shard:
    """A finished shard: its file, the shape [N, C] of its rows, and where in it each clip lies."""

    path: Path
    shape_NC: tuple[int, int]
    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True)
class StoredClip:
    """A clip of a shard that is there already."""

    shard: Shard
    position: int

    @property
    def entry(self) -> IndexEntry:
        """Where it lies."""
        return self.shard.entries[self.position]

    def read(self) -> np.ndarray:
        """Its features, float16 [T, N, C]; a copy: pages of a memory map would stay with the process."""
        row_values = math.prod(self.shard.shape_NC)
        with self.shard.path.open("rb") as file:
            read_header(file)
            file.seek(self.entry.offset * row_values * DTYPE.itemsize, os.SEEK_CUR)
            values = np.fromfile(file, DTYPE, self.entry.frames * row_values)
        return values.reshape(self.entry.frames, *self.shard.shape_NC)


Clip = ClipFeatures | StoredClip


def write_shards(
    directory: Path,
    clips: Iterable[Clip],
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    keep: Callable[[Shard], None] | None = None,
) -> Iterator[Shard]:
    """Pack consecutive clips of one row shape into shards of up to ``shard_bytes`` and `MAX_SHARD_CLIPS`.

    A clip that is larger is alone.

    What a shard holds depends on the clips and their order alone. One that is made of all clips of a shard
    that is there already is that shard: nothing is copied.

    Args:
        directory: where the shards are written.
        clips: in the order of a store.
        shard_bytes: size of a shard without its header.
        keep: told of every shard as soon as it is whole. With it, clips that came before an interruption or
            an error are kept too, in a shard that is smaller than others.
    """
    shard = _OpenShard(directory, 0)
    try:
        for clip in clips:
            if not shard.has_room(clip, shard_bytes):
                finished, shard = shard.close(), _OpenShard(directory, shard.number + 1)
                yield _told(finished, keep)
            shard.add(clip)
    except OSError:  # perhaps the disk is full: no more is written to it
        shard.discard()
        raise
    except BaseException:
        if keep is not None and not shard.is_empty:
            keep(shard.close())
        shard.discard()
        raise
    if not shard.is_empty:
        yield _told(shard.close(), keep)


def read_header(file: BinaryIO) -> tuple[int, ...]:
    """Shape of the array in a shard's file, which is then at the first value.

    Raises:
        ValueError: no such array.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of the format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if is_fortran or dtype != DTYPE:
        raise ValueError(f"values of type {dtype}")
    return tuple(shape)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class _OpenShard:
    """A shard to which clips are added.

    As long as they are the first clips of a shard that is there, nothing is written. A clip counts when it
    stands in one of the two lists: an interruption in the middle of a write leaves it out.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self._directory = directory
        self._stored: list[StoredClip] = []
        self._entries: list[dict[str, Any]] = []
        self._rows = 0
        self._shape_NC: tuple[int, int] | None = None
        self._file: BinaryIO | None = None
        self._path = Path()

    @property
    def is_empty(self) -> bool:
        """Whether no clip was added."""
        return not self._stored and not self._entries

    def has_room(self, clip: Clip, shard_bytes: int) -> bool:
        """Whether the clip belongs here and not into the next shard."""
        frames, *shape_NC = _shape(clip)
        if self._shape_NC is None:
            return True
        if tuple(shape_NC) != self._shape_NC or len(self._stored) + len(self._entries) >= MAX_SHARD_CLIPS:
            return False
        return self._bytes(self._rows + frames) <= shard_bytes

    def add(self, clip: Clip) -> None:
        """Add a clip, which has room."""
        frames, tokens, channels = _shape(clip)
        self._shape_NC = (tokens, channels)
        if isinstance(clip, StoredClip) and self._file is None and self._is_next(clip):
            self._stored.append(clip)
        else:
            self._write_stored()
            self._write(clip)
        self._rows += frames

    def close(self) -> Shard:
        """The finished shard, on disk under its name; nothing of it where the disk refuses."""
        if self._file is None and len(self._stored) == len(self._stored[0].shard.entries):
            return self._reused(self._stored[0].shard)
        try:
            return self._finished()
        except OSError:
            self.discard()
            raise

    def _finished(self) -> Shard:
        self._write_stored()
        assert self._file is not None and self._shape_NC is not None
        rows = sum(fields["frames"] for fields in self._entries)
        self._file.seek(0)
        _write_header(self._file, (rows, *self._shape_NC))
        self._file.truncate(self._file.tell() + self._bytes(rows))
        self._file.close()
        path = self._directory / self._name(digest_file(self._path))
        with atomic_file(path) as temporary:
            os.replace(self._path, temporary)
        return Shard(path, self._shape_NC, self._placed(path.name))

    def discard(self) -> None:
        """Remove what was written, unless it was closed."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):  # what is left to be written has no room, and is not wanted
                self._file.close()

    def _is_next(self, clip: StoredClip) -> bool:
        """Whether this clip and all before it are the first ones of one shard."""
        is_same = not self._stored or self._stored[0].shard is clip.shard
        return is_same and clip.position == len(self._stored)

    def _write_stored(self) -> None:
        stored, self._stored = self._stored, []
        for clip in stored:
            self._write(clip)

    def _write(self, clip: Clip) -> None:
        if self._file is None:
            assert self._shape_NC is not None
            self._path = new_temporary(self._directory / "shard.npy")
            self._file = self._path.open("wb")
            _write_header(self._file, (0, *self._shape_NC))
        features_TNC = clip.read() if isinstance(clip, StoredClip) else clip.features_TNC
        self._file.write(np.ascontiguousarray(features_TNC).data)
        self._entries.append(_fields(clip))

    def _reused(self, shard: Shard) -> Shard:
        path = self._directory / self._name(shard.path.stem.rpartition("-")[2])
        if shard.path == path:
            return shard
        with atomic_file(path) as temporary:
            link_or_copy(shard.path, temporary)
        entries = tuple(entry.model_copy(update={"shard": path.name}) for entry in shard.entries)
        return Shard(path, shard.shape_NC, entries)

    def _placed(self, name: str) -> tuple[IndexEntry, ...]:
        entries, offset = [], 0
        for fields in self._entries:
            entries.append(IndexEntry(**{**fields, "shard": name, "offset": offset}))
            offset += fields["frames"]
        return tuple(entries)

    def _name(self, digest: str) -> str:
        return f"shard-{self.number:05d}-{digest[:16]}.npy"

    def _bytes(self, rows: int) -> int:
        return rows * math.prod(self._shape_NC or ()) * DTYPE.itemsize


def _told(shard: Shard, keep: Callable[[Shard], None] | None) -> Shard:
    if keep is not None:
        keep(shard)
    return shard


def _shape(clip: Clip) -> tuple[int, int, int]:
    if isinstance(clip, StoredClip):
        return clip.entry.frames, *clip.shard.shape_NC
    frames, tokens, channels = clip.features_TNC.shape
    return frames, tokens, channels


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The header that numpy would write; it leaves room: its length is the same for any number of rows."""
    header = {"descr": np.lib.format.dtype_to_descr(DTYPE), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _fields(clip: Clip) -> dict[str, Any]:
    """What the index says of a clip, but for its place."""
    if isinstance(clip, StoredClip):
        return dict(clip.entry)
    return {
        "video": clip.video_digest,
        "policy": clip.policy_digest,
        "encoder": clip.encoder_digest,
        "frames": len(clip.timebase),
        "sha256": features_sha256(clip.features_TNC),
        "timebase": clip.timebase,
    }
