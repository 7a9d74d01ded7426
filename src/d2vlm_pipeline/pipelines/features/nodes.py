"""Accepted videos → stored features, and the certificate of the demo world."""

from __future__ import annotations

from functools import partial
from typing import Any

from d2vlm_pipeline.annotations import DataConfig, durations_of
from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.certificate import certify_world, no_certificate
from d2vlm_pipeline.features import (
    EncoderConfig,
    FeatureStore,
    FeatureStream,
    StoredClips,
    build_encoder,
    extract_features,
)
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow
from d2vlm_pipeline.video.world import WorldConfig


def stream_features(
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    limits: DecodeLimits,
    compute: ComputeConfig,
    ray: RaySettings,
) -> FeatureStream:
    """Features of every accepted video; those that are not there yet are computed while they are saved."""
    find = partial(extract_features, policy=sampling, config=encoder, limits=limits, workers=compute.workers)
    if ray.enabled:
        from d2vlm_pipeline.orchestration.ray_features import extract_on_ray

        find = partial(extract_on_ray, policy=sampling, config=encoder, limits=limits, settings=ray)
    return FeatureStream.of(rows, sampling.digest, build_encoder(encoder).digest, find)


def stored_clips(
    store: FeatureStore, rows: list[VideoRow], sampling: SamplingPolicy, encoder: EncoderConfig
) -> StoredClips:
    """The store, addressed by the names that samples use."""
    return StoredClips.of(store, rows, sampling, build_encoder(encoder).digest)


def certify(
    data: DataConfig,
    world: WorldConfig,
    samples: list[Sample],
    rows: list[VideoRow],
    store: FeatureStore,
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    evaluation: EvaluationConfig,
) -> dict[str, Any]:
    """What the demo world promises beside what was measured; of other footage, that nothing is promised."""
    if data.source != "world":
        return dict(no_certificate(f"data.source is {data.source}"))
    clips = stored_clips(store, rows, sampling, encoder)
    return dict(certify_world(world, samples, durations_of(rows), clips, evaluation, sampling))
