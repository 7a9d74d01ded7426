"""The supervised loss: tokens, grounding, consistency (method.md §3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from d2vlm_pipeline.objectives.config import SFTConfig

NOT_SCORED = -100
"""Token id that the token loss leaves out."""


@dataclass(frozen=True)
class SFTLoss:
    """Parts of the loss, each unweighted, and their weighted total."""

    total: Tensor
    token: Tensor
    grounding: Tensor
    consistency: Tensor


def sft_loss(
    token_logits_NV: Tensor,
    token_id_N: Tensor,
    similarity_MT: Tensor,
    label_MT: Tensor,
    frame_valid_MT: Tensor,
    query_branch_M: Tensor,
    queries_MD: Tensor,
    pair_2L: Tensor,
    pair_branch_L: Tensor,
    config: SFTConfig,
) -> SFTLoss:
    """Mean token cross-entropy + weighted mean grounding + weighted mean consistency.

    Tokens whose id is `NOT_SCORED` are left out of their mean.
    Consistency is a mean within a response and then over the responses that have evidence; grounding is
    that, or a mean over all rows (`SFTConfig.grounding_mean`).
    """
    token = functional.cross_entropy(token_logits_NV, token_id_N, ignore_index=NOT_SCORED)
    group_M = query_branch_M
    if config.grounding_mean == "rows":
        group_M = torch.arange(len(query_branch_M), device=query_branch_M.device)
    grounding = grounding_loss(similarity_MT, label_MT, frame_valid_MT, group_M)
    consistency = consistency_loss(queries_MD, pair_2L, pair_branch_L)
    total = token + config.grounding_weight * grounding + config.consistency_weight * consistency
    return SFTLoss(total, token, grounding, consistency)


def grounding_loss(
    similarity_MT: Tensor, label_MT: Tensor, frame_valid_MT: Tensor, group_M: Tensor
) -> Tensor:
    """Binary cross-entropy with logits, mean over a group's rows × frames, then over groups."""
    if similarity_MT.shape[0] == 0:
        return similarity_MT.sum()
    per_frame = functional.binary_cross_entropy_with_logits(similarity_MT, label_MT, reduction="none")
    per_row = (per_frame * frame_valid_MT).sum(-1) / frame_valid_MT.sum(-1)
    return mean_of_groups(per_row, group_M)


def consistency_loss(queries_MD: Tensor, pair_2L: Tensor, branch_L: Tensor) -> Tensor:
    """Mean absolute difference of the two halves' queries for the same event, then over responses."""
    if pair_2L.shape[1] == 0:
        return queries_MD.sum() * 0.0
    first, second = pair_2L
    apart = (queries_MD[first] - queries_MD[second]).abs().mean(-1)
    return mean_of_groups(apart, branch_L)


def mean_of_groups(values_N: Tensor, group_N: Tensor) -> Tensor:
    """Mean over groups of the mean within each group."""
    _, index, count = torch.unique(group_N, return_inverse=True, return_counts=True)
    return (values_N / count.to(values_N.dtype)[index]).sum() / len(count)
