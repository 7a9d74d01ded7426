"""Factorised preference optimisation: a response's likelihood includes its intervals' (method.md §4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from d2vlm_pipeline.objectives.config import FPOConfig

_SAME_LABEL = 1e-6


@dataclass(frozen=True)
class ResponseLogProbs:
    """Log-likelihood of each of R responses: text over tokens, grounding over evidence rows and frames."""

    text_R: Tensor
    grounding_R: Tensor


@dataclass(frozen=True)
class EvidenceRows:
    """M evidence rows over T frames: similarities, targets, and which response and half each belongs to.

    ``rival_R`` names for each response the other side of its pair, or itself where it has none.
    """

    similarity_MT: Tensor
    label_MT: Tensor
    frame_valid_MT: Tensor
    branch_M: Tensor
    in_answer_M: Tensor
    rival_R: Tensor


def response_log_probs(
    token_logits_NV: Tensor,
    token_id_N: Tensor,
    token_branch_N: Tensor,
    rows: EvidenceRows,
    config: FPOConfig,
) -> ResponseLogProbs:
    """log π of every response, text and grounding apart."""
    responses = len(rows.rival_R)
    picked = -functional.cross_entropy(token_logits_NV, token_id_N, reduction="none")
    text = picked.new_zeros(responses).index_add(0, token_branch_N, picked)
    counted = _counted_frames(rows, config)
    likelihood = interval_log_likelihood(rows.similarity_MT, rows.label_MT, config.official_likelihood)
    per_row = (likelihood * counted).sum(-1)
    if config.grounding_norm == "frames":
        per_row = per_row / rows.frame_valid_MT.sum(-1)
    elif config.grounding_norm == "differing":
        per_row = per_row / counted.sum(-1).clamp(min=1)
    grounding = per_row.new_zeros(responses).index_add(0, rows.branch_M, per_row)
    return ResponseLogProbs(text, grounding)


def _counted_frames(rows: EvidenceRows, config: FPOConfig) -> Tensor:
    """Frames of every row that enter its likelihood, bool [M, T]."""
    counted = rows.frame_valid_MT
    if config.halves == "evidence":
        counted = counted & ~rows.in_answer_M[:, None]
    if config.grounding_norm == "differing":
        # Labels of the evidence half alone: the answer half repeats them, where there is one.
        first_half = rows.label_MT * ~rows.in_answer_M[:, None]
        empty = first_half.new_zeros(len(rows.rival_R), first_half.shape[1])
        claimed_RT = empty.index_add(0, rows.branch_M, first_half)
        differs_RT = (claimed_RT - claimed_RT[rows.rival_R]).abs() > _SAME_LABEL
        counted = counted & differs_RT[rows.branch_M]
    return counted


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
    log_probs: ResponseLogProbs,
    chosen_P: Tensor,
    rejected_P: Tensor,
    config: FPOConfig,
    reference: ResponseLogProbs | None = None,
    weight_P: Tensor | None = None,
) -> PreferenceLoss:
    """Preference loss of P pairs; indices point into the responses, weights scale each pair's loss."""
    margin = _margin(log_probs, chosen_P, rejected_P, config)
    if reference is not None:
        margin = margin - _margin(reference, chosen_P, rejected_P, config)
    per_pair = -functional.logsigmoid(margin - config.target_margin)
    if weight_P is not None:
        per_pair = per_pair * weight_P
    pairs = max(1, len(margin))  # a batch may hold no pair at all
    accuracy = (margin.detach() > 0).float().sum() / pairs
    return PreferenceLoss(per_pair.sum() / pairs, margin.detach(), accuracy)


def _margin(log_probs: ResponseLogProbs, chosen_P: Tensor, rejected_P: Tensor, config: FPOConfig) -> Tensor:
    text = log_probs.text_R[chosen_P] - log_probs.text_R[rejected_P]
    grounding = log_probs.grounding_R[chosen_P] - log_probs.grounding_R[rejected_P]
    return config.beta_text * text + config.beta_grounding * grounding
