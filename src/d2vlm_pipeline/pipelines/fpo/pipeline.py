"""sft model + pairs + features → model directory + curves."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.fpo.nodes import gather_pairs, sample_hard_negatives
from d2vlm_pipeline.pipelines.training import training_pipeline


def create_pipeline() -> Pipeline:
    """Train the SFT model on preference pairs: synthetic ones, and hard negatives of its own if asked for."""
    mining = Pipeline(
        [
            Node(
                sample_hard_negatives,
                [
                    "sft_model",
                    "samples",
                    "feature_store",
                    "video_table",
                    "params:sampling",
                    "params:encoder",
                    "params:hard_negatives",
                    "params:compute",
                ],
                ["hard_negatives", "hard_negative_stats"],
                name="sample_hard_negatives",
                tags="gpu",
            ),
            Node(
                gather_pairs,
                ["preference_pairs", "hard_negatives"],
                "fpo_pairs",
                name="gather_pairs",
                tags="cpu",
            ),
        ]
    )
    return mining + training_pipeline("fpo", start="sft_model", examples="fpo_pairs")
