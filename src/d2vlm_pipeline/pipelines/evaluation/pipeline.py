"""models + held-out samples → predictions, metrics with intervals, studies, report."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.evaluation.nodes import (
    GUESSERS,
    View,
    answer_questions,
    compare_mistakes,
    guess_answers,
    score_answers,
)
from d2vlm_pipeline.pipelines.evaluation.report import write_report
from d2vlm_pipeline.pipelines.evaluation.studies import studies_pipeline
from d2vlm_pipeline.pipelines.preferences.nodes import judge_audit

# System, the model that answers, and what it is shown.
ANSWERERS: tuple[tuple[str, str, View], ...] = (
    ("sft", "sft_model", "real"),
    ("fpo", "fpo_model", "real"),
    ("zero_video", "fpo_model", "zero"),
    ("swapped_video", "fpo_model", "swapped"),
)


def create_pipeline() -> Pipeline:
    """Everybody answers the same questions and is scored by the same code."""
    systems = [*GUESSERS, *(system for system, _, _ in ANSWERERS)]
    scored = ["samples", "video_table"]
    config = ["params:answering", "params:evaluation"]
    scoring = Pipeline(
        [
            Node(
                guess_answers,
                [*scored, *config],
                [f"{name}_predictions" for name in GUESSERS],
                name="guess_answers",
                tags="cpu",
            ),
            *(_answerer(system, model, view) for system, model, view in ANSWERERS),
            Node(
                score_answers,
                [*scored, "feature_store", *config, *(f"{system}_predictions" for system in systems)],
                "metrics",
                name="score_answers",
                tags="cpu",
            ),
            Node(
                compare_mistakes,
                ["samples", "preference_pairs", "sft_predictions", "params:preference_audit"],
                ["preference_distance", "preference_distance_plot"],
                name="compare_mistakes",
                tags="cpu",
            ),
            Node(
                judge_audit,
                ["preference_distance", "params:preference_audit"],
                None,
                name="judge_distance",
                tags="cpu",
            ),
            Node(
                write_report,
                [
                    *scored,
                    "metrics",
                    "studies",
                    *config,
                    "params:report",
                    "params:decode_limits",
                    "params:compute",
                    *(f"{system}_predictions" for system in systems),
                ],
                "report",
                name="write_report",
                tags="cpu",
            ),
        ]
    )
    return scoring + studies_pipeline()


def _answerer(system: str, model: str, view: View) -> Node:
    # Bound by keyword, behind the inputs: Kedro reads parameter types off the wrapped function by position.
    function = update_wrapper(partial(answer_questions, system=system, view=view), answer_questions)
    inputs = [
        model,
        "samples",
        "feature_store",
        "video_table",
        "params:sampling",
        "params:encoder",
        "params:answering",
        "params:evaluation",
        "params:compute",
    ]
    return Node(function, inputs, f"{system}_predictions", name=f"answer_{system}", tags="gpu")
