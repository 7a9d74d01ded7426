"""accepted videos → sharded feature store; demo world → certificate."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.features.nodes import certify, stream_features


def create_pipeline() -> Pipeline:
    """Every accepted video is decoded and encoded once; the demo world is held to its promises."""
    certificate = Node(
        certify,
        [
            "params:data",
            "params:world",
            "samples",
            "video_table",
            "feature_store",
            "params:sampling",
            "params:encoder",
            "params:evaluation",
        ],
        "world_certificate",
        name="certify_world",
        tags="cpu",
    )
    return extraction_pipeline() + Pipeline([certificate])


def extraction_pipeline() -> Pipeline:
    """Features alone."""
    return Pipeline(
        [
            Node(
                stream_features,
                [
                    "video_table",
                    "params:sampling",
                    "params:encoder",
                    "params:decode_limits",
                    "params:compute",
                    "params:ray",
                ],
                "feature_store",
                name="extract_features",
                tags="gpu",
            )
        ]
    )
