"""Factorised preferences: operators that make a true answer wrong in one recorded way, and the checker."""

from d2vlm_pipeline.preferences.checker import check_pair, differing_axes
from d2vlm_pipeline.preferences.config import (
    OPERATOR_VERSION,
    OPERATORS,
    SPECS,
    Operator,
    OperatorSpec,
    OperatorWeights,
    PreferenceConfig,
)
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.scene import Edit, NotApplicable, Scene
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.synthesis import OPERATOR_FUNCTIONS, synthesize_pairs

__all__ = [
    "OPERATORS",
    "OPERATOR_FUNCTIONS",
    "OPERATOR_VERSION",
    "SPECS",
    "DonorPool",
    "Edit",
    "NotApplicable",
    "Operator",
    "OperatorSpec",
    "OperatorWeights",
    "PairStatistics",
    "PreferenceConfig",
    "Scene",
    "check_pair",
    "differing_axes",
    "synthesize_pairs",
]
