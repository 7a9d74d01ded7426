"""The `evaluation` pipeline."""

from d2vlm_pipeline.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
