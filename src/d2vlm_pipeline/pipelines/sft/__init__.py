"""The `sft` pipeline."""

from d2vlm_pipeline.pipelines.sft.pipeline import create_pipeline

__all__ = ["create_pipeline"]
