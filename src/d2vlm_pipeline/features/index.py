"""What a store holds: clips, by what they were computed from, and where each of them lies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, digest_json
from d2vlm_pipeline.timeline import TimeBase

INDEX_NAME = "index.jsonl"
DTYPE = np.dtype("<f2")
MEND = "run `kedro run --pipelines features`"

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
        if dtype != DTYPE or len(shape) != 3 or min(shape) < 1:
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
    def key(self) -> Key:
        """What `FeatureStore.get` looks it up by."""
        return self.video_digest, self.policy_digest, self.encoder_digest

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


def features_sha256(features_TNC: np.ndarray) -> str:
    """SHA-256 of one clip's values, row after row."""
    return hashlib.sha256(np.ascontiguousarray(features_TNC).data).hexdigest()
