"""sft model + pairs + features → model directory + curves."""

from kedro.pipeline import Pipeline

from d2vlm_pipeline.pipelines.training import training_pipeline


def create_pipeline() -> Pipeline:
    """Train the SFT model on preference pairs."""
    return training_pipeline("fpo", start="sft_model", examples="preference_pairs")
