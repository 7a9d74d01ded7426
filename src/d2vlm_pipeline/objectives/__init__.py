"""Losses as functions of tensors: supervised, factorised preference optimisation, frame labels.

Names are loaded on first use: configurations are read by light commands, which torch would cost seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2vlm_pipeline.objectives.config import OFFICIAL_FPO as OFFICIAL_FPO
    from d2vlm_pipeline.objectives.config import OFFICIAL_SFT as OFFICIAL_SFT
    from d2vlm_pipeline.objectives.config import AxisWeights as AxisWeights
    from d2vlm_pipeline.objectives.config import FPOConfig as FPOConfig
    from d2vlm_pipeline.objectives.config import SFTConfig as SFTConfig
    from d2vlm_pipeline.objectives.fpo import EvidenceRows as EvidenceRows
    from d2vlm_pipeline.objectives.fpo import PreferenceLoss as PreferenceLoss
    from d2vlm_pipeline.objectives.fpo import ResponseLogProbs as ResponseLogProbs
    from d2vlm_pipeline.objectives.fpo import preference_loss as preference_loss
    from d2vlm_pipeline.objectives.fpo import response_log_probs as response_log_probs
    from d2vlm_pipeline.objectives.labels import frame_labels as frame_labels
    from d2vlm_pipeline.objectives.labels import soft_frame_labels as soft_frame_labels
    from d2vlm_pipeline.objectives.official import official_labels as official_labels
    from d2vlm_pipeline.objectives.official import official_spans as official_spans
    from d2vlm_pipeline.objectives.sft import NOT_SCORED as NOT_SCORED
    from d2vlm_pipeline.objectives.sft import SFTLoss as SFTLoss
    from d2vlm_pipeline.objectives.sft import consistency_loss as consistency_loss
    from d2vlm_pipeline.objectives.sft import grounding_loss as grounding_loss
    from d2vlm_pipeline.objectives.sft import sft_loss as sft_loss

_HOMES = {
    "OFFICIAL_FPO": "config",
    "OFFICIAL_SFT": "config",
    "AxisWeights": "config",
    "FPOConfig": "config",
    "SFTConfig": "config",
    "EvidenceRows": "fpo",
    "PreferenceLoss": "fpo",
    "ResponseLogProbs": "fpo",
    "preference_loss": "fpo",
    "response_log_probs": "fpo",
    "frame_labels": "labels",
    "soft_frame_labels": "labels",
    "official_labels": "official",
    "official_spans": "official",
    "NOT_SCORED": "sft",
    "SFTLoss": "sft",
    "consistency_loss": "sft",
    "grounding_loss": "sft",
    "sft_loss": "sft",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
