"""accepted videos → sharded feature store."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.features.nodes import stream_features


def create_pipeline() -> Pipeline:
    """Every accepted video is decoded and encoded once."""
    return Pipeline(
        [
            Node(
                stream_features,
                ["video_table", "params:sampling", "params:encoder", "params:decode_limits", "params:compute"],
                "feature_store",
                name="extract_features",
                tags=["gpu"],
            )
        ]
    )
