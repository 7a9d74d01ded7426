"""Attention of branches to their clip's prefix and to themselves, and to nothing else.

All branches of a batch lie in one row without padding, which is what the backbone's linear layers compute on.
Attention alone takes the row apart: each question with its responses attends to the keys and values that its
clip's prefix left in the cache, followed by its own. A dense mask over the whole row would compute scores
between branches only to throw them away, and a row per clip would compute on padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from d2vlm_pipeline.model.prefix import keys_and_values

ATTENTION = "d2vlm_branches"


@dataclass(frozen=True)
class BranchLayout:
    """Where Q questions with their responses, up to K tokens each, lie in a row of S tokens.

    ``row_A`` lists for each of the A = Q · K places the row of its token (any row where there is none),
    ``place_S`` for each token its place.
    """

    prefix: DynamicCache
    clip_Q: Tensor
    row_A: Tensor
    place_S: Tensor

    def apart(self, states_1HSD: Tensor) -> Tensor:
        """Heads of the row's tokens → heads of each question's, [Q, H, K, D]."""
        picked_HAD = states_1HSD.squeeze(0).index_select(1, self.row_A)
        return picked_HAD.unflatten(1, (len(self.clip_Q), -1)).transpose(0, 1)

    def together(self, states_QKHD: Tensor) -> Tensor:
        """The way back, [1, S, H, D]."""
        return states_QKHD.flatten(0, 1).index_select(0, self.place_S).unsqueeze(0)

    def behind_prefix(self, prefix_BHPD: Tensor, states_1HSD: Tensor) -> Tensor:
        """Keys or values of the clip's prefix and of the question, [Q, H, P + K, D]."""
        return torch.cat([prefix_BHPD.index_select(0, self.clip_Q), self.apart(states_1HSD)], dim=2)


def layout_of(prefix: DynamicCache, clip_Q: Tensor, row_QK: Tensor, tokens: int) -> BranchLayout:
    """Layout of questions whose tokens' rows are given, −1 where there is none."""
    is_token_A = (row_QK >= 0).flatten()
    row_A = row_QK.flatten().clamp(min=0)
    place_S = torch.empty(tokens, dtype=torch.long, device=row_QK.device)
    place_S[row_A[is_token_A]] = is_token_A.nonzero().squeeze(1)
    return BranchLayout(prefix, clip_Q, row_A, place_S)


def use_branch_attention(backbone: PreTrainedModel) -> None:
    """Let a backbone attend as here; without a layout it attends as it would have.

    Raises:
        ValueError: its attention cannot be replaced.
    """
    backbone.set_attn_implementation(ATTENTION)
    if backbone.config._attn_implementation != ATTENTION:
        raise ValueError(f"{type(backbone).__name__} does not let its attention be replaced")


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    branches: BranchLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers calls; the mask is [Q, 1, K, P + K] where there is a layout."""
    if branches is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **kwargs
        )
        return found
    prefix_keys, prefix_values = keys_and_values(branches.prefix, cast(int, module.layer_idx))
    attended, _ = sdpa_attention_forward(
        module,
        branches.apart(query),
        branches.behind_prefix(prefix_keys, key),
        branches.behind_prefix(prefix_values, value),
        attention_mask,
        **kwargs,
    )
    return branches.together(attended), None


AttentionInterface.register(ATTENTION, _attend)
