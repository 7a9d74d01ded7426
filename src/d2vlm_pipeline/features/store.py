"""Frame features on disk: few large shards, an index, any clip in one memory-mapped read.

    store/
      index.jsonl                      one IndexEntry a line, written last
      shard-00000-1f3a…c2.npy          float16 [sum of T, N, C], named by its content

A clip is found by what it was computed from (digests of video, sampling policy and encoder), never by its
name: features that do not fit are not found rather than silently used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from d2vlm_pipeline.artifacts import UserError, is_complete, marker_path, verify, write_text_atomic
from d2vlm_pipeline.features.index import (
    DTYPE,
    INDEX_NAME,
    MEND,
    ClipFeatures,
    IndexEntry,
    Key,
    StoreIndex,
    features_sha256,
)
from d2vlm_pipeline.features.shards import DEFAULT_SHARD_BYTES, write_shards
from d2vlm_pipeline.timeline import TimeBase, dump_jsonl, read_jsonl


def write_store(
    directory: Path | str, clips: Iterable[ClipFeatures], shard_bytes: int = DEFAULT_SHARD_BYTES
) -> StoreIndex:
    """Write a store from a stream of clips, each of which is let go as soon as it is written.

    Clips must come in the order of `ClipFeatures.sort_key`: then the bytes depend on nothing but the clips. A
    clip that repeats the one before (a video that is there twice) is stored once. Shards are written
    atomically and named by content, the index comes last, then shards that it does not name are removed: an
    interrupted call leaves the old store readable.

    Raises:
        ValueError: clips out of order, or one key with two contents.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    shards = write_shards(directory, _distinct(clips), shard_bytes)
    index = StoreIndex(entries=tuple(entry for shard in shards for entry in shard.entries))
    write_text_atomic(directory / INDEX_NAME, dump_jsonl(index.entries))
    _remove_unlisted(directory, index)
    return index


def read_index(directory: Path) -> StoreIndex:
    """Index of a store, checked against its digest.

    Raises:
        UserError: no store there, incomplete or changed.
    """
    path = directory / INDEX_NAME
    if not is_complete(path):
        raise UserError(f"{path}: no complete feature store; {MEND}")
    verify(path)
    return StoreIndex(entries=tuple(entry for _, entry in read_jsonl(path, IndexEntry)))


class FeatureStore:
    """Read access to a store. Opening checks the index against the shards, the first `get` a clip's digest.

    Raises:
        UserError: no store there, incomplete, or index and shards disagree.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.index = read_index(self.directory)
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
            raise UserError(f"{path}: missing or incomplete; {MEND}")
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); {MEND}") from error
        if shard.dtype != DTYPE or shard.ndim != 3 or len(shard) != rows:
            raise UserError(
                f"{path}: {shard.dtype} {shard.shape} does not fit the index ({rows} rows); {MEND}"
            )
        return np.asarray(shard)

    def _check(self, entry: IndexEntry, features_TNC: np.ndarray) -> None:
        if len(features_TNC) != entry.frames or features_sha256(features_TNC) != entry.sha256:
            path = self.directory / entry.shard
            raise UserError(f"{path}: features of video {entry.video} do not match their digest; {MEND}")

    def _why_missing(self, key: Key) -> str:
        video, policy, encoder = key
        kin = [entry for entry in self.index.entries if entry.video == video]
        if not kin:
            return f"{self.directory}: no features of video {video}; {MEND}"
        other = "encoder" if any(entry.policy == policy for entry in kin) else "sampling policy"
        wanted = encoder if other == "encoder" else policy
        detail = f"features of video {video} were made with another {other} than {wanted}"
        return f"{self.directory}: {detail}; {MEND}"


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


def _remove_unlisted(directory: Path, index: StoreIndex) -> None:
    for path in sorted(directory.glob("shard-*.npy")):
        if path.name not in index.shards:
            # Its marker first: what remains after a crash in between counts as incomplete.
            marker_path(path).unlink(missing_ok=True)
            path.unlink()
