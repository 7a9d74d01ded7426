"""Accepted videos → stored features, and the certificate of the demo world."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.features import EncoderConfig, FeatureStore, FeatureStream, StoredClips, build_encoder, extract_features
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow


def stream_features(
    rows: list[VideoRow], sampling: SamplingPolicy, encoder: EncoderConfig, limits: DecodeLimits, compute: ComputeConfig
) -> FeatureStream:
    """Features of every accepted video, computed while they are saved."""
    return FeatureStream(extract_features(rows, sampling, encoder, limits, compute.workers))


def stored_clips(
    store: FeatureStore, rows: list[VideoRow], sampling: SamplingPolicy, encoder: EncoderConfig
) -> StoredClips:
    """The store, addressed by the names that samples use."""
    return StoredClips.of(store, rows, sampling, build_encoder(encoder).digest)


def describe_store(store: FeatureStore) -> dict[str, Any]:
    """What lies in the store, for the report."""
    frames = sum(entry.frames for entry in store.index.entries)
    return {"clips": len(store), "frames": frames, "digest": store.index.digest}
