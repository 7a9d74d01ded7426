from d2vlm_pipeline.pipeline_registry import register_pipelines

__all__ = ["register_pipelines"]
