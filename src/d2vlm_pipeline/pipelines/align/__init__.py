"""The `align` pipeline."""

from d2vlm_pipeline.pipelines.align.pipeline import create_pipeline

__all__ = ["create_pipeline"]
