"""The `fpo` pipeline."""

from d2vlm_pipeline.pipelines.fpo.pipeline import create_pipeline

__all__ = ["create_pipeline"]
