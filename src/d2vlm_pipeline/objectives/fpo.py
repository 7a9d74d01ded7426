"""Factorised preference optimisation: a response's likelihood includes its intervals' (method.md §4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from d2vlm_pipeline.objectives.config import FPOConfig


@dataclass(frozen=True)
class ResponseLogProbs:
    """Log-likelihood of each of R responses: text over tokens, grounding over evidence rows and frames."""

    text_R: Tensor
    grounding_R: Tensor


def response_log_probs(
    token_logits_NV: Tensor,
    token_id_N: Tensor,
    token_branch_N: Tensor,
    similarity_MT: Tensor,
    label_MT: Tensor,
    frame_valid_MT: Tensor,
    query_branch_M: Tensor,
    responses: int,
    config: FPOConfig,
) -> ResponseLogProbs:
    """log π of every response, text and grounding apart."""
    picked = -functional.cross_entropy(token_logits_NV, token_id_N, reduction="none")
    text = picked.new_zeros(responses).index_add(0, token_branch_N, picked)
    per_frame = interval_log_likelihood(similarity_MT, label_MT, config.official_likelihood) * frame_valid_MT
    per_row = per_frame.sum(-1)
    if config.grounding_mean:
        per_row = per_row / frame_valid_MT.sum(-1)
    grounding = per_row.new_zeros(responses).index_add(0, query_branch_M, per_row)
    return ResponseLogProbs(text, grounding)


def interval_log_likelihood(similarity_MT: Tensor, label_MT: Tensor, official: bool) -> Tensor:
    """log p_g per evidence row and frame, [M, T].

    Stable form y·logσ(z) + (1−y)·logσ(−z); the official form mixes probabilities and adds 1e−10 inside the
    log.
    """
    if official:
        sigma = torch.sigmoid(similarity_MT)
        return torch.log(label_MT * sigma + (1.0 - label_MT) * (1.0 - sigma) + 1e-10)
    return label_MT * functional.logsigmoid(similarity_MT) + (1.0 - label_MT) * functional.logsigmoid(
        -similarity_MT
    )


@dataclass(frozen=True)
class PreferenceLoss:
    """−log σ(margin), mean over pairs, and what to watch: margins and how often the chosen side wins."""

    loss: Tensor
    margin_P: Tensor
    accuracy: Tensor


def preference_loss(
    log_probs: ResponseLogProbs, chosen_P: Tensor, rejected_P: Tensor, config: FPOConfig
) -> PreferenceLoss:
    """Reference-free preference loss of P pairs; indices point into the responses."""
    text = log_probs.text_R[chosen_P] - log_probs.text_R[rejected_P]
    grounding = log_probs.grounding_R[chosen_P] - log_probs.grounding_R[rejected_P]
    margin = config.beta_text * text + config.beta_grounding * grounding
    pairs = max(1, len(margin))  # a batch may hold no pair at all
    accuracy = (margin.detach() > 0).float().sum() / pairs
    return PreferenceLoss(-functional.logsigmoid(margin).sum() / pairs, margin.detach(), accuracy)
