"""models + held-out samples → predictions with a record of how, metrics with intervals, studies, report."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL
from d2vlm_pipeline.pipelines.evaluation.dossier import dossier_pipeline
from d2vlm_pipeline.pipelines.evaluation.evidence import evidence_pipeline
from d2vlm_pipeline.pipelines.evaluation.nodes import (
    answer_questions,
    answer_with_given_model,
    compare_mistakes,
    guess_answers,
    judge_distance,
    score_answers,
    summarise_scores,
)
from d2vlm_pipeline.pipelines.evaluation.report import draw_strips, write_report
from d2vlm_pipeline.pipelines.evaluation.studies import studies_pipeline
from d2vlm_pipeline.pipelines.evaluation.systems import ANSWERERS, GUESSERS, SYSTEMS, Answerer

_SCORED = ("samples", "video_table")
_CONFIG = ("params:answering", "params:evaluation")
_PREDICTIONS = tuple(f"{system}_predictions" for system in SYSTEMS)
_RECORDS = tuple(f"{answerer.system}_answer_record" for answerer in ANSWERERS)


def create_pipeline() -> Pipeline:
    """Everybody who is asked answers the same questions and is scored by the same code."""
    guess = Node(
        guess_answers,
        [*_SCORED, *_CONFIG],
        [f"{name}_predictions" for name in GUESSERS],
        name="guess_answers",
        tags="cpu",
    )
    answers = Pipeline([guess, *(_answer(answerer) for answerer in ANSWERERS)])
    return answers + Pipeline(_judges()) + studies_pipeline() + evidence_pipeline() + dossier_pipeline()


def _judges() -> list[Node]:
    """What is made of the answers; of whom nobody asked there are none."""
    tags = ["cpu", WITHOUT_OPTIONAL]
    score = Node(
        score_answers,
        [*_SCORED, "feature_store", *_CONFIG, "params:compute", "params:ray", *_PREDICTIONS],
        "metrics",
        name="score_answers",
        tags=tags,
    )
    compare = Node(
        compare_mistakes,
        ["samples", "preference_pairs", "sft_predictions", "params:preference_audit", "params:answering"],
        ["preference_distance", "preference_distance_plot"],
        name="compare_mistakes",
        tags=tags,
    )
    judge = Node(
        judge_distance,
        ["preference_distance", "params:preference_audit", "params:answering"],
        None,
        name="judge_distance",
        tags=tags,
    )
    shown = ["params:report", "params:decode_limits", "params:compute"]
    write = Node(
        write_report,
        [*_SCORED, "metrics", "studies", *_CONFIG, *shown, *_PREDICTIONS, *_RECORDS],
        "report",
        name="write_report",
        tags=tags,
    )
    draw = Node(
        draw_strips,
        [*_SCORED, *_CONFIG, *shown, *_PREDICTIONS],
        "sample_strips",
        name="draw_strips",
        tags=tags,
    )
    summarise = Node(summarise_scores, "metrics", "headline", name="summarise_scores", tags="cpu")
    return [score, summarise, compare, judge, write, draw]


def _answer(answerer: Answerer) -> Node:
    function = answer_questions if answerer.model else answer_with_given_model
    # Bound by keyword, behind the inputs: Kedro reads parameter types off the wrapped function by position.
    bound = update_wrapper(partial(function, answerer=answerer), function)
    inputs = [
        *([answerer.model] if answerer.model else []),
        "samples",
        "feature_store",
        "video_table",
        "params:sampling",
        "params:encoder",
        "params:answering",
        "params:evaluation",
        "params:compute",
        "params:ray",
    ]
    outputs = [f"{answerer.system}_predictions", f"{answerer.system}_answer_record"]
    return Node(bound, inputs, outputs, name=f"answer_{answerer.system}", tags=["gpu", WITHOUT_OPTIONAL])
