"""Who sees whom, and the masks that say so."""

from __future__ import annotations

import torch
from torch import Tensor


def prefix_visible(valid_BP: Tensor, slot_BP: Tensor, both_ways: bool) -> Tensor:
    """bool [B, P, P]: causal, and frames may see one another both ways; padding is seen by nobody."""
    length = valid_BP.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=valid_BP.device).tril()
    if both_ways:
        causal = causal | (slot_BP[:, :, None] & slot_BP[:, None, :])
    return causal & valid_BP[:, None, :]


def branch_visible(valid_BP: Tensor, is_token_BS: Tensor, variant_BS: Tensor) -> Tensor:
    """bool [B, S, P + S]: the prefix, and causally the question and its own response.

    ``variant_BS`` is 0 in the question and numbers the responses from 1, which do not see one another.
    """
    length = is_token_BS.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=is_token_BS.device).tril()
    same = (variant_BS[:, None, :] == 0) | (variant_BS[:, :, None] == variant_BS[:, None, :])
    own = causal & same & is_token_BS[:, None, :]
    return torch.cat([valid_BP[:, None, :].expand(-1, length, -1), own], dim=-1)


def additive_mask(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """bool [B, S, L] → additive mask [B, 1, S, L]: 0 where visible, the lowest finite number elsewhere."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min).unsqueeze(1)
