"""Videos → features, decoded and encoded in worker processes; same bytes for any number of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features.config import EncoderConfig
from d2vlm_pipeline.features.encoder import FrameEncoder, build_encoder
from d2vlm_pipeline.features.index import ClipFeatures
from d2vlm_pipeline.features.processes import EncoderProcesses
from d2vlm_pipeline.features.stream import LostClip
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video import DecodeLimits, VideoRow, decode_many


def extract_features(
    rows: Sequence[VideoRow],
    policy: SamplingPolicy,
    config: EncoderConfig,
    limits: DecodeLimits,
    workers: int,
) -> Generator[ClipFeatures | LostClip, None, None]:
    """Features of accepted videos, in their order; a video that cannot be read any more is lost, no other."""
    if not rows:
        return
    encoder = build_encoder(config)
    digests = policy.digest, encoder.digest
    decoded = decode_many(rows, policy, encoder.input_px, limits, workers, path_of=lambda row: Path(row.path))
    with EncoderProcesses(config, encoder_processes(encoder, workers)) as processes:
        for result in decoded:
            if len(result) == 2:
                # In its place: what was decoded before it is on its way.
                while len(processes):
                    yield clip_of(*processes.take(), *digests)
                yield LostClip(result[0], f"{result[0].path}: {result[1]}")
                continue
            row, frames_THWC, timebase = result
            processes.put(row, timebase, frames_THWC)
            if len(processes) > 2 * workers:
                yield clip_of(*processes.take(), *digests)
        while len(processes):
            yield clip_of(*processes.take(), *digests)


def encoder_processes(encoder: FrameEncoder, workers: int) -> int:
    """How many processes encode: on a GPU one, since each would hold the weights there again."""
    return workers if encoder.device == "cpu" else 1


def clip_of(
    row: VideoRow,
    timebase: TimeBase,
    features_TNC: np.ndarray | UserError,
    policy_digest: str,
    encoder_digest: str,
) -> ClipFeatures | LostClip:
    """One video's features under the digests that they are found by."""
    if isinstance(features_TNC, UserError):
        return LostClip(row, str(features_TNC))
    return ClipFeatures(str(row.digest), policy_digest, encoder_digest, features_TNC, timebase)
