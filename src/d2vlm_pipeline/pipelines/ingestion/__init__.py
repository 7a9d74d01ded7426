"""The `ingestion` pipeline."""

from d2vlm_pipeline.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
