"""Evidence: how like a query every frame is, and the mean state of a stretch of frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from d2vlm_pipeline.model.exact import exactly


def similarity(queries_MD: Tensor, keys_BTD: Tensor, clip_M: Tensor) -> Tensor:
    """Logits q·k/√D with the frames of each query's clip, [M, T] (method.md §1.4 a).

    One product with the keys of all clips, of which each query keeps its own: copying a clip's keys for every
    query, and adding up their gradients again, costs more.
    """
    with exactly(queries_MD):
        every_MBT = (queries_MD @ keys_BTD.flatten(0, 1).T).unflatten(1, keys_BTD.shape[:2])
    own_MT = every_MBT[torch.arange(len(clip_M), device=clip_M.device), clip_M]
    return own_MT / math.sqrt(queries_MD.shape[-1])


def span_weights(span_E2: Tensor, frames: int, dtype: torch.dtype) -> Tensor:
    """Weights of the mean over frames first..last (inclusive) of each span, [E, T]."""
    frame = torch.arange(frames, device=span_E2.device)
    inside_ET = (frame >= span_E2[:, :1]) & (frame <= span_E2[:, 1:])
    return inside_ET.to(dtype) / inside_ET.sum(-1, keepdim=True)


def pool_spans(states_BTD: Tensor, clip_E: Tensor, span_E2: Tensor) -> Tensor:
    """Mean state over the frames of each span in its clip, [E, D]."""
    clips, frames, _ = states_BTD.shape
    weights_EBT = states_BTD.new_zeros(len(clip_E), clips, frames)
    weights_EBT[torch.arange(len(clip_E), device=clip_E.device), clip_E] = span_weights(
        span_E2, frames, states_BTD.dtype
    )
    return weights_EBT.flatten(1) @ states_BTD.flatten(0, 1)


def row_similarity(queries_QD: Tensor, keys_QTD: Tensor) -> Tensor:
    """As `similarity`, with one query for each row of keys, [Q, T]."""
    with exactly(queries_QD):
        every_Q1T = torch.bmm(queries_QD[:, None], keys_QTD.transpose(1, 2))
    return every_Q1T.squeeze(1) / math.sqrt(queries_QD.shape[-1])
