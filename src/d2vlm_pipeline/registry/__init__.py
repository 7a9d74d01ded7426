"""The model registry: policy, decision, promotion, audit, and the champion."""

from d2vlm_pipeline.registry.audit import AuditEntry, read_audit
from d2vlm_pipeline.registry.decide import Decision, decide
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.lock import promotion_lock
from d2vlm_pipeline.registry.opening import model_ref, open_predictor
from d2vlm_pipeline.registry.policy import Policy, load_policy, policy_of
from d2vlm_pipeline.registry.promote import PromotionOutcome, promote, promote_version, rehearse
from d2vlm_pipeline.registry.results import GateResult
from d2vlm_pipeline.registry.rollback import RollbackOutcome, rollback
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
    "RollbackOutcome",
    "Rule",
    "Score",
    "ScoreName",
    "Scores",
    "decide",
    "load_policy",
    "model_ref",
    "open_predictor",
    "policy_of",
    "promote",
    "promote_version",
    "promotion_lock",
    "read_audit",
    "rehearse",
    "resolve_champion",
    "rollback",
    "scores_of",
]
