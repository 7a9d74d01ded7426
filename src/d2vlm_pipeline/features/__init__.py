"""Frozen frame encoders, the extraction of their features, and the store that holds them."""

from d2vlm_pipeline.features.clips import DecodedClips, StoredClips
from d2vlm_pipeline.features.config import EncoderConfig
from d2vlm_pipeline.features.encoder import EfficientNetConfig, FrameEncoder, build_encoder
from d2vlm_pipeline.features.extract import extract_features
from d2vlm_pipeline.features.huggingface import HuggingFaceConfig
from d2vlm_pipeline.features.index import ClipFeatures
from d2vlm_pipeline.features.store import FeatureStore, write_store
from d2vlm_pipeline.features.stream import FeatureStream, LostClip, load_store, save_store
from d2vlm_pipeline.features.vlm_tower import VLMTowerConfig

__all__ = [
    "ClipFeatures",
    "DecodedClips",
    "EfficientNetConfig",
    "EncoderConfig",
    "FeatureStore",
    "FeatureStream",
    "FrameEncoder",
    "HuggingFaceConfig",
    "LostClip",
    "StoredClips",
    "VLMTowerConfig",
    "build_encoder",
    "extract_features",
    "load_store",
    "save_store",
    "write_store",
]
