from d2vlm_pipeline.cli import cli

__all__ = ["cli"]
