"""training samples → preference pairs + statistics per factor."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.preferences.nodes import synthesize


def create_pipeline() -> Pipeline:
    """Corrupt one factor at a time."""
    return Pipeline(
        [
            Node(
                synthesize,
                ["samples", "video_table", "params:preferences"],
                ["preference_pairs", "preference_stats"],
                name="synthesize_pairs",
                tags="cpu",
            )
        ]
    )
