"""Scoring: answer parsing, metrics by task family, baselines, bootstrap intervals and tables."""

from d2vlm_pipeline.evaluation.baselines import BASELINES, TILING_TASKS, Baseline
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS, TASK_METRICS
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions, parse_failures
from d2vlm_pipeline.evaluation.parsing import ParsedResponse, ParseProblem, option_index, parse_generation
from d2vlm_pipeline.evaluation.scores import Score, Scores, assemble_metrics, score_system, score_systems
from d2vlm_pipeline.evaluation.similarity import SentenceEncoder, default_encoder
from d2vlm_pipeline.evaluation.table import scores_table

__all__ = [
    "BASELINES",
    "MAIN_METRICS",
    "TASK_METRICS",
    "TILING_TASKS",
    "Baseline",
    "EvaluationConfig",
    "Pair",
    "ParseProblem",
    "ParsedResponse",
    "Score",
    "Scores",
    "SentenceEncoder",
    "assemble_metrics",
    "default_encoder",
    "match_predictions",
    "option_index",
    "parse_failures",
    "parse_generation",
    "score_system",
    "score_systems",
    "scores_table",
]
