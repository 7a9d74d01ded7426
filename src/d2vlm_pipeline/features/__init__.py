"""Frozen frame encoders, the extraction of their features, and the store that holds them."""

from d2vlm_pipeline.features.encoder import EncoderConfig, FrameEncoder, build_encoder
from d2vlm_pipeline.features.extract import (
    DecodedClips,
    FeatureStream,
    StoredClips,
    extract_features,
    load_store,
    save_store,
)
from d2vlm_pipeline.features.store import ClipFeatures, FeatureStore, write_store

__all__ = [
    "ClipFeatures",
    "DecodedClips",
    "EncoderConfig",
    "FeatureStore",
    "FeatureStream",
    "FrameEncoder",
    "StoredClips",
    "build_encoder",
    "extract_features",
    "load_store",
    "save_store",
    "write_store",
]
