"""training samples → preference pairs + statistics per factor + audit."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.preferences.nodes import audit_pairs, gate_pairs, synthesize

_MACHINES = ("params:compute", "params:ray")


def create_pipeline() -> Pipeline:
    """Make true answers wrong in recorded ways, and look at what that gives away."""
    return Pipeline(
        [
            Node(
                synthesize,
                ["samples", "video_table", "params:preferences", *_MACHINES],
                ["synthesized_pairs", "preference_stats"],
                name="synthesize_pairs",
                tags="cpu",
            ),
            Node(
                audit_pairs,
                ["samples", "video_table", "synthesized_pairs", "params:preference_audit", *_MACHINES],
                ["preference_audit", "preference_audit_plots"],
                name="audit_pairs",
                tags="cpu",
            ),
            # Audit and the gate's own result are saved first: where either refuses, no pairs are written.
            Node(
                gate_pairs,
                [
                    "synthesized_pairs",
                    "samples",
                    "video_table",
                    "preference_audit",
                    "params:preference_audit",
                    *_MACHINES,
                ],
                ["pairs_gate", "preference_pairs"],
                name="gate_pairs",
                tags="cpu",
            ),
        ]
    )
