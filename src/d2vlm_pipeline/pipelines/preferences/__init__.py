"""The `preferences` pipeline."""

from d2vlm_pipeline.pipelines.preferences.pipeline import create_pipeline

__all__ = ["create_pipeline"]
