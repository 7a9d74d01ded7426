"""Accepted videos → features, decoded and encoded in worker processes; same bytes for any number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from d2vlm_pipeline.artifacts import UserError, track
from d2vlm_pipeline.features.config import EncoderConfig
from d2vlm_pipeline.features.encoder import FrameEncoder, build_encoder
from d2vlm_pipeline.features.store import ClipFeatures, FeatureStore, write_store
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video import DecodeLimits, VideoError, VideoRow, decode_many


@dataclass(frozen=True)
class FeatureStream:
    """Clips still to be computed: saving the stream computes and writes them, shard by shard."""

    clips: Iterable[ClipFeatures]


def extract_features(
    rows: Sequence[VideoRow],
    policy: SamplingPolicy,
    config: EncoderConfig,
    limits: DecodeLimits,
    workers: int,
) -> Iterator[ClipFeatures]:
    """Features of every accepted video, in the order a store wants them.

    Raises:
        UserError: a video that passed the probe can no longer be decoded.
    """
    accepted = sorted((row for row in rows if row.status == "ok"), key=lambda row: str(row.digest))
    encoder = build_encoder(config)
    encoder_digest, processes = encoder.digest, encoder_processes(encoder, workers)
    decoded = decode_many(
        accepted, policy, encoder.input_px, limits, workers, path_of=lambda row: Path(row.path)
    )
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_worker, (config,)) as pool:
        pending: deque[tuple[VideoRow, TimeBase, Future[np.ndarray]]] = deque()
        for result in track(decoded, "extract features", total=len(accepted), unit="clip"):
            if len(result) == 2:
                row, error = result
                raise UserError(
                    f"{row.path}: {error}; run `kedro run --pipelines ingestion` again"
                ) from error
            row, frames_THWC, timebase = result
            pending.append((row, timebase, pool.submit(_encode, frames_THWC)))
            if len(pending) > 2 * workers:
                yield _clip(*pending.popleft(), policy, encoder_digest)
        while pending:
            yield _clip(*pending.popleft(), policy, encoder_digest)


def encoder_processes(encoder: FrameEncoder, workers: int) -> int:
    """How many processes encode: on a GPU one, since each would hold the weights there again."""
    return workers if encoder.device == "cpu" else 1


def _clip(
    row: VideoRow,
    timebase: TimeBase,
    features: Future[np.ndarray],
    policy: SamplingPolicy,
    encoder_digest: str,
) -> ClipFeatures:
    return ClipFeatures(
        video_digest=str(row.digest),
        policy_digest=policy.digest,
        encoder_digest=encoder_digest,
        features_TNC=features.result(),
        timebase=timebase,
    )


_encoder: FrameEncoder | None = None


def _start_worker(config: EncoderConfig) -> None:
    """An encoder of its own and one thread for each worker: results do not depend on how many there are."""
    global _encoder
    import torch

    torch.set_num_threads(1)
    _encoder = build_encoder(config)


def _encode(frames_THWC: np.ndarray) -> np.ndarray:
    if _encoder is None:
        raise RuntimeError("feature worker used before it was started")
    return _encoder.encode(frames_THWC)


def save_store(stream: FeatureStream, directory: Path) -> None:
    """Compute and write the stream's clips."""
    write_store(directory, stream.clips)


def load_store(directory: Path) -> FeatureStore:
    """Open the store for random access."""
    return FeatureStore(directory)


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
        if video not in self.digests:
            raise UserError(
                f"{video} is not an accepted video: see the quarantine report of the ingestion pipeline"
            )
        return self.store.get(self.digests[video], self.policy_digest, self.encoder_digest)


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
