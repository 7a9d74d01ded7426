"""Losses as functions of tensors: supervised, factorised preference optimisation, frame labels."""

from d2vlm_pipeline.objectives.config import OFFICIAL_FPO, OFFICIAL_SFT, FPOConfig, SFTConfig
from d2vlm_pipeline.objectives.fpo import (
    PreferenceLoss,
    ResponseLogProbs,
    preference_loss,
    response_log_probs,
)
from d2vlm_pipeline.objectives.labels import frame_labels, soft_frame_labels
from d2vlm_pipeline.objectives.official import official_labels, official_spans
from d2vlm_pipeline.objectives.sft import SFTLoss, consistency_loss, grounding_loss, sft_loss

__all__ = [
    "OFFICIAL_FPO",
    "OFFICIAL_SFT",
    "FPOConfig",
    "PreferenceLoss",
    "ResponseLogProbs",
    "SFTConfig",
    "SFTLoss",
    "consistency_loss",
    "frame_labels",
    "grounding_loss",
    "official_labels",
    "official_spans",
    "preference_loss",
    "response_log_probs",
    "sft_loss",
    "soft_frame_labels",
]
