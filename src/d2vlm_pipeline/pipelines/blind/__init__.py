"""The `blind` pipeline."""

from d2vlm_pipeline.pipelines.blind.pipeline import create_pipeline

__all__ = ["create_pipeline"]
