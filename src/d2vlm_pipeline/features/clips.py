"""Features of clips by the name that samples use: out of a store, or computed on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2vlm_pipeline.artifacts import UserError, digest_json
from d2vlm_pipeline.features.config import EncoderConfig
from d2vlm_pipeline.features.encoder import build_encoder
from d2vlm_pipeline.features.store import FeatureStore
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video import DecodeLimits, VideoError, VideoRow, decode_many


@dataclass(frozen=True)
class StoredClips:
    """Features and times of stored videos, by the name that samples use."""

    store: FeatureStore
    digests: dict[str, str]
    policy_digest: str
    encoder_digest: str

    @classmethod
    def of(
        cls, store: FeatureStore, rows: Iterable[VideoRow], policy: SamplingPolicy, encoder_digest: str
    ) -> StoredClips:
        """View a store through a video table."""
        digests = {row.video: str(row.digest) for row in rows if row.status == "ok"}
        return cls(store, digests, policy.digest, encoder_digest)

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Features float16 [T, N, C] and the times of their frames.

        Raises:
            UserError: the video was not accepted, or its features are not in the store.
        """
        return self.store.get(self._accepted(video), self.policy_digest, self.encoder_digest)

    def identity(self, video: str) -> str:
        """What the features were computed from: equal identities, equal features.

        Raises:
            UserError: the video was not accepted.
        """
        return digest_json([self._accepted(video), self.policy_digest, self.encoder_digest])

    def _accepted(self, video: str) -> str:
        if video not in self.digests:
            raise UserError(
                f"{video} is not an accepted video: see the quarantine report of the ingestion pipeline"
            )
        return self.digests[video]


class DecodedClips:
    """Features of videos that are decoded and encoded on the spot; the last ones are kept."""

    def __init__(
        self, policy: SamplingPolicy, config: EncoderConfig, limits: DecodeLimits, keep: int = 8
    ) -> None:
        self._policy, self._limits, self._keep = policy, limits, keep
        self._encoder = build_encoder(config)
        self._clips: dict[str, tuple[np.ndarray, TimeBase]] = {}

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Decode and encode a video file.

        Raises:
            VideoError: it cannot be decoded.
        """
        if video not in self._clips:
            self._clips[video] = self._compute(video)
            while len(self._clips) > self._keep:
                self._clips.pop(next(iter(self._clips)))
        return self._clips[video]

    def _compute(self, video: str) -> tuple[np.ndarray, TimeBase]:
        for result in decode_many([Path(video)], self._policy, self._encoder.input_px, self._limits, 1):
            if isinstance(result[1], VideoError):
                raise result[1]
            _, frames_THWC, timebase = result
            return self._encoder.encode(frames_THWC), timebase
        raise RuntimeError("one video in, none out")
