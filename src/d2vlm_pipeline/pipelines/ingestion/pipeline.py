"""manifest + videos → video table, quarantine report, samples that passed the gate."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.ingestion.nodes import (
    gate_samples,
    probe_videos,
    provide_annotations,
    provide_clips,
    read_annotations,
)


def create_pipeline() -> Pipeline:
    """Your own footage, or the demo world, which is rendered and then treated like anybody's."""
    return Pipeline(
        [
            Node(
                provide_clips,
                ["params:data", "params:world", "params:compute"],
                "world_clips",
                name="render_clips",
                tags="cpu",
            ),
            Node(
                provide_annotations,
                ["params:data", "params:world", "world_clips"],
                ["raw_annotations", "imported_rows"],
                name="annotate_clips",
                tags="cpu",
            ),
            Node(
                probe_videos,
                ["world_clips", "params:sampling", "params:decode_limits", "params:compute"],
                "video_table",
                name="probe_videos",
                tags="cpu",
            ),
            Node(
                read_annotations,
                ["raw_annotations", "video_table", "imported_rows", "params:data"],
                ["annotated_samples", "quarantine"],
                name="read_annotations",
                tags="cpu",
            ),
            # The gate's own result is saved first: where its guard refuses, no samples are written.
            Node(
                gate_samples,
                ["annotated_samples", "video_table"],
                ["samples_gate", "samples"],
                name="gate_samples",
                tags="cpu",
            ),
        ]
    )
