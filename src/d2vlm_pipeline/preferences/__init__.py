"""Factorised preferences: operators that make a true answer wrong in recorded ways, checker and audit."""

from d2vlm_pipeline.preferences.audit import AuditConfig, AuditLimits, Finding, Limit, PairAudit, judge
from d2vlm_pipeline.preferences.axes import differing_axes
from d2vlm_pipeline.preferences.checker import check_pair, named_axes
from d2vlm_pipeline.preferences.config import (
    OPERATOR_VERSION,
    OPERATORS,
    SAMPLED,
    SPECS,
    Operator,
    OperatorSpec,
    OperatorWeights,
    PreferenceConfig,
)
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.errors import ErrorHistogram, distance_record, said_by_model, said_by_pair
from d2vlm_pipeline.preferences.magnitudes import Count, IoUBand, Magnitudes
from d2vlm_pipeline.preferences.pair_checks import PairCheck, check_pairs
from d2vlm_pipeline.preferences.portions import spread_audit, spread_checks, spread_synthesis
from d2vlm_pipeline.preferences.sampled import HardNegativeConfig, SampledStatistics, sampled_pairs
from d2vlm_pipeline.preferences.scene import Edit, NotApplicable, Scene
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.synthesis import OPERATOR_FUNCTIONS, synthesize_pairs

__all__ = [
    "OPERATORS",
    "OPERATOR_FUNCTIONS",
    "OPERATOR_VERSION",
    "SAMPLED",
    "SPECS",
    "AuditConfig",
    "AuditLimits",
    "Count",
    "DonorPool",
    "Edit",
    "ErrorHistogram",
    "Finding",
    "HardNegativeConfig",
    "IoUBand",
    "Limit",
    "Magnitudes",
    "NotApplicable",
    "Operator",
    "OperatorSpec",
    "OperatorWeights",
    "PairAudit",
    "PairCheck",
    "PairStatistics",
    "PreferenceConfig",
    "SampledStatistics",
    "Scene",
    "check_pair",
    "check_pairs",
    "differing_axes",
    "distance_record",
    "judge",
    "named_axes",
    "said_by_model",
    "said_by_pair",
    "sampled_pairs",
    "spread_audit",
    "spread_checks",
    "spread_synthesis",
    "synthesize_pairs",
]
