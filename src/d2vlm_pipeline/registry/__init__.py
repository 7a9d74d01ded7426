"""The model registry: policy, decision, promotion, audit, and the champion."""

from d2vlm_pipeline.registry.audit import AuditEntry, audit_path, promotion_lock, read_audit
from d2vlm_pipeline.registry.decide import Decision, decide
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.opening import model_ref, open_predictor
from d2vlm_pipeline.registry.policy import Policy, load_policy, policy_of
from d2vlm_pipeline.registry.promote import PromotionOutcome, promote
from d2vlm_pipeline.registry.results import GateResult
from d2vlm_pipeline.registry.rules import Rule, ScoreName
from d2vlm_pipeline.registry.scores import Score, Scores, scores_of
from d2vlm_pipeline.registry.versions import ChampionRef, resolve_champion

__all__ = [
    "AuditEntry",
    "ChampionRef",
    "Decision",
    "Dossier",
    "GateResult",
    "Policy",
    "PromotionOutcome",
    "Rule",
    "Score",
    "ScoreName",
    "Scores",
    "audit_path",
    "decide",
    "load_policy",
    "model_ref",
    "open_predictor",
    "policy_of",
    "promote",
    "promotion_lock",
    "read_audit",
    "resolve_champion",
    "scores_of",
]
