"""Frame features on disk: few large shards, an index, any clip in one memory-mapped read.

    store/
      index.jsonl                      one IndexEntry a line, written last
      shard-00000-1f3a…c2.npy          float16 [sum of T, N, C], named by its content

A clip is found by what it was computed from (digests of video, sampling policy and encoder), never by its
name: features that do not fit are not found rather than silently used.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field

from d2vlm_pipeline.artifacts import (
    StrictModel,
    UserError,
    digest_bytes,
    digest_json,
    is_complete,
    marker_path,
    verify,
    write_bytes_atomic,
    write_text_atomic,
)
from d2vlm_pipeline.timeline import TimeBase, dump_jsonl, read_jsonl

INDEX_NAME = "index.jsonl"
DEFAULT_SHARD_BYTES = 64 << 20
_DTYPE = np.dtype("<f2")
_MEND = "run `kedro run --pipelines features`"

Key = tuple[str, str, str]
"""(video digest, policy digest, encoder digest)."""


@dataclass(frozen=True)
class ClipFeatures:
    """Features of one clip: float16 [T, N, C], one row per time of `timebase`."""

    video_digest: str
    policy_digest: str
    encoder_digest: str
    features_TNC: np.ndarray
    timebase: TimeBase

    def __post_init__(self) -> None:
        shape, dtype = self.features_TNC.shape, self.features_TNC.dtype
        if dtype != _DTYPE or len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"features must be float16 [T, N, C], got {dtype} {shape}")
        if shape[0] != len(self.timebase):
            raise ValueError(f"{shape[0]} rows of features for {len(self.timebase)} sampled frames")
        if self.timebase.policy_digest != self.policy_digest:
            raise ValueError("the TimeBase belongs to another sampling policy")
        if not np.isfinite(self.features_TNC).all():
            raise ValueError(
                f"features of video {self.video_digest} are not finite (beyond the range of float16?)"
            )

    @property
    def sort_key(self) -> Key:
        """Order of clips in a store: clips of one encoder, whose rows have one shape, lie together."""
        return self.encoder_digest, self.policy_digest, self.video_digest


class IndexEntry(StrictModel):
    """Where one clip's features lie: rows [offset, offset + frames) of `shard`, with their SHA-256."""

    video: str = Field(min_length=1)
    policy: str = Field(min_length=1)
    encoder: str = Field(min_length=1)
    shard: str = Field(pattern=r"^shard-\d{5,}-[0-9a-f]{16}\.npy$")
    offset: int = Field(ge=0)
    frames: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    timebase: TimeBase

    @property
    def key(self) -> Key:
        """What `FeatureStore.get` looks it up by."""
        return self.video, self.policy, self.encoder


class StoreIndex(StrictModel):
    """Index of a whole store."""

    entries: tuple[IndexEntry, ...]

    @property
    def shards(self) -> dict[str, int]:
        """Rows per shard, by file name."""
        rows: dict[str, int] = {}
        for entry in self.entries:
            rows[entry.shard] = rows.get(entry.shard, 0) + entry.frames
        return rows

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the index, and through the digests in it of all features."""
        return digest_json(["feature_store", self])


def write_store(
    directory: Path | str, clips: Iterable[ClipFeatures], shard_bytes: int = DEFAULT_SHARD_BYTES
) -> StoreIndex:
    """Write a store from a stream of clips; memory for about two shards, whatever the number of clips.

    Clips must come in the order of `ClipFeatures.sort_key`: then the bytes depend on nothing but the clips. A
    clip that repeats the one before (a video that is there twice) is stored once. Shards are written
    atomically and named by content, the index comes last, then shards that it does not name are removed: an
    interrupted call leaves the old store readable.

    Raises:
        ValueError: clips out of order, or one key with two contents.
    """
    directory = Path(directory)
    entries: list[IndexEntry] = []
    for number, shard in enumerate(_packed(_distinct(clips), shard_bytes)):
        entries += _write_shard(directory, number, shard)
    index = StoreIndex(entries=tuple(entries))
    write_text_atomic(directory / INDEX_NAME, dump_jsonl(index.entries))
    _remove_unlisted(directory, index)
    return index


class FeatureStore:
    """Read access to a store. Opening checks the index against the shards, the first `get` a clip's digest.

    Raises:
        UserError: no store there, incomplete, or index and shards disagree.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        path = self.directory / INDEX_NAME
        if not is_complete(path):
            raise UserError(f"{path}: no complete feature store; {_MEND}")
        verify(path)
        self.index = StoreIndex(entries=tuple(entry for _, entry in read_jsonl(path, IndexEntry)))
        self._entries = {entry.key: entry for entry in self.index.entries}
        self._shards = {name: self._mapped(name, rows) for name, rows in self.index.shards.items()}
        self._checked: set[Key] = set()

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        # Memory maps would be pickled as their content: another process maps the files itself.
        return FeatureStore, (self.directory,)

    def __len__(self) -> int:
        """Clips in the store."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether the clip (video digest, policy digest, encoder digest) is there."""
        return key in self._entries

    def get(self, video_digest: str, policy_digest: str, encoder_digest: str) -> tuple[np.ndarray, TimeBase]:
        """Features of one clip, a read-only float16 [T, N, C] view of the file, and the times of its frames.

        Raises:
            UserError: not in the store, or the bytes on disk are not those that were written.
        """
        key = (video_digest, policy_digest, encoder_digest)
        entry = self._entries.get(key)
        if entry is None:
            raise UserError(self._why_missing(key))
        features_TNC = self._shards[entry.shard][entry.offset : entry.offset + entry.frames]
        if key not in self._checked:
            self._check(entry, features_TNC)
            self._checked.add(key)
        return features_TNC, entry.timebase

    def verify(self) -> None:
        """Check the digests of all clips.

        Raises:
            UserError: the first clip whose bytes are not those that were written.
        """
        for key in self._entries:
            self.get(*key)

    def _mapped(self, name: str, rows: int) -> np.ndarray:
        path = self.directory / name
        if not is_complete(path):
            raise UserError(f"{path}: missing or incomplete; {_MEND}")
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); {_MEND}") from error
        if shard.dtype != _DTYPE or shard.ndim != 3 or len(shard) != rows:
            raise UserError(
                f"{path}: {shard.dtype} {shard.shape} does not fit the index ({rows} rows); {_MEND}"
            )
        return np.asarray(shard)

    def _check(self, entry: IndexEntry, features_TNC: np.ndarray) -> None:
        if len(features_TNC) != entry.frames or _sha256(features_TNC) != entry.sha256:
            path = self.directory / entry.shard
            raise UserError(f"{path}: features of video {entry.video} do not match their digest; {_MEND}")

    def _why_missing(self, key: Key) -> str:
        video, policy, encoder = key
        kin = [entry for entry in self.index.entries if entry.video == video]
        if not kin:
            return f"{self.directory}: no features of video {video}; {_MEND}"
        other = "encoder" if any(entry.policy == policy for entry in kin) else "sampling policy"
        wanted = encoder if other == "encoder" else policy
        detail = f"features of video {video} were made with another {other} than {wanted}"
        return f"{self.directory}: {detail}; {_MEND}"


def _distinct(clips: Iterable[ClipFeatures]) -> Iterator[ClipFeatures]:
    previous: ClipFeatures | None = None
    for clip in clips:
        if previous is not None and clip.sort_key < previous.sort_key:
            raise ValueError(
                f"clips out of order: {clip.sort_key} after {previous.sort_key}; sort by sort_key"
            )
        if previous is None or clip.sort_key != previous.sort_key:
            yield clip
        elif (
            not np.array_equal(clip.features_TNC, previous.features_TNC) or clip.timebase != previous.timebase
        ):
            raise ValueError(f"two different features for {clip.sort_key}")
        previous = clip


def _packed(clips: Iterable[ClipFeatures], shard_bytes: int) -> Iterator[list[ClipFeatures]]:
    """Consecutive clips of one row shape, up to `shard_bytes` together (a larger clip is alone)."""
    shard: list[ClipFeatures] = []
    size = 0
    for clip in clips:
        is_same_shape = not shard or clip.features_TNC.shape[1:] == shard[0].features_TNC.shape[1:]
        if shard and (size + clip.features_TNC.nbytes > shard_bytes or not is_same_shape):
            yield shard
            shard, size = [], 0
        shard.append(clip)
        size += clip.features_TNC.nbytes
    if shard:
        yield shard


def _write_shard(directory: Path, number: int, clips: list[ClipFeatures]) -> list[IndexEntry]:
    buffer = io.BytesIO()
    rows = np.concatenate([clip.features_TNC for clip in clips])
    np.lib.format.write_array(buffer, rows, version=(1, 0), allow_pickle=False)
    data = buffer.getvalue()
    name = f"shard-{number:05d}-{digest_bytes(data)[:16]}.npy"
    write_bytes_atomic(directory / name, data)
    entries, offset = [], 0
    for clip in clips:
        entries.append(_entry(clip, name, offset))
        offset += len(clip.timebase)
    return entries


def _entry(clip: ClipFeatures, shard: str, offset: int) -> IndexEntry:
    return IndexEntry(
        video=clip.video_digest,
        policy=clip.policy_digest,
        encoder=clip.encoder_digest,
        shard=shard,
        offset=offset,
        frames=len(clip.timebase),
        sha256=_sha256(clip.features_TNC),
        timebase=clip.timebase,
    )


def _sha256(features_TNC: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(features_TNC).data).hexdigest()


def _remove_unlisted(directory: Path, index: StoreIndex) -> None:
    for path in directory.glob("shard-*.npy"):
        if path.name not in index.shards:
            # Its marker first: what remains after a crash in between counts as incomplete.
            marker_path(path).unlink(missing_ok=True)
            path.unlink()
