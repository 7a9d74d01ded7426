"""manifest + videos → video table, samples, quarantine report."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.ingestion.nodes import (
    annotate_clips,
    probe_videos,
    read_annotations,
    render_clips,
)


def create_pipeline() -> Pipeline:
    """Render the demo world, then treat it like anybody's footage."""
    return Pipeline(
        [
            Node(
                render_clips,
                ["params:world", "params:compute"],
                "world_clips",
                name="render_clips",
                tags="cpu",
            ),
            Node(annotate_clips, "params:world", "raw_annotations", name="annotate_clips", tags="cpu"),
            Node(
                probe_videos,
                ["world_clips", "params:sampling", "params:decode_limits", "params:compute"],
                "video_table",
                name="probe_videos",
                tags="cpu",
            ),
            Node(
                read_annotations,
                ["raw_annotations", "video_table"],
                ["samples", "quarantine"],
                name="read_annotations",
                tags="cpu",
            ),
        ]
    )
