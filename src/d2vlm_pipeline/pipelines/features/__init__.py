"""The `features` pipeline."""

from d2vlm_pipeline.pipelines.features.pipeline import create_pipeline

__all__ = ["create_pipeline"]
