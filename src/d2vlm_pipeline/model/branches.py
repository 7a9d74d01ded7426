"""Attention of branches to their clip's prefix and to themselves, and to nothing else.

All branches of a batch lie in one row without padding, which is what the backbone's linear layers compute on.
Attention alone takes the row apart: each question with its responses attends to the keys and values that its
clip's prefix left in the cache, followed by its own. A dense mask over the whole row would compute scores
between branches only to throw them away, and a row per clip would compute on padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from d2vlm_pipeline.model.prefix import keys_and_values

ATTENTION = "d2vlm_branches"


class _ToPlaces(torch.autograd.Function):
    """Rows → places, any row standing where there is none.

    A row has one place, so that gradients need only be put back. The gradient of an index would add them up,
    which takes longer than the attention it serves.
    """

    @staticmethod
    def forward(ctx: Any, states_SC: Tensor, row_A: Tensor, place_S: Tensor) -> Tensor:
        ctx.save_for_backward(place_S)
        return states_SC.index_select(0, row_A)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (place_S,) = ctx.saved_tensors
        return gradients[0].index_select(0, place_S), None, None


class _ToRows(torch.autograd.Function):
    """Places → rows; what stands where there is no row gets no gradient."""

    @staticmethod
    def forward(ctx: Any, states_AC: Tensor, place_S: Tensor) -> Tensor:
        ctx.save_for_backward(place_S)
        ctx.places = len(states_AC)
        return states_AC.index_select(0, place_S)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (place_S,) = ctx.saved_tensors
        gradient_AC = gradients[0].new_zeros(ctx.places, gradients[0].shape[1])
        return gradient_AC.index_copy_(0, place_S, gradients[0]), None


class _ForQuestions(torch.autograd.Function):
    """One copy of a clip's keys or values for each of its questions, which follow one another."""

    @staticmethod
    def forward(ctx: Any, prefix_BHPD: Tensor, clip_Q: Tensor, questions_B: Sequence[int]) -> Tensor:
        ctx.questions_B = questions_B
        return prefix_BHPD.index_select(0, clip_Q)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        of_clips = gradients[0].split(ctx.questions_B)
        return torch.stack([gradient.sum(0) for gradient in of_clips]), None, None


@dataclass(frozen=True)
class BranchLayout:
    """Where Q questions with their responses, up to K tokens each, lie in a row of S tokens.

    Questions are in the order of their clips. ``row_A`` lists for each of the A = Q · K places the row of its
    token (any row where there is none), ``place_S`` for each token its place; ``is_in_place`` says that rows
    are places already, all questions being of one length, so that nothing has to be moved.
    """

    prefix: DynamicCache
    clip_Q: Tensor
    questions_B: Sequence[int]
    row_A: Tensor
    place_S: Tensor
    is_in_place: bool

    def apart(self, states_1HSD: Tensor) -> Tensor:
        """Heads of the row's tokens → heads of each question's, [Q, H, K, D]."""
        states_SHD = states_1HSD.squeeze(0).transpose(0, 1)
        if self.is_in_place:
            return states_SHD.unflatten(0, (len(self.clip_Q), -1)).transpose(1, 2)
        placed_AC = _ToPlaces.apply(states_SHD.flatten(1), self.row_A, self.place_S)
        return placed_AC.view(len(self.clip_Q), -1, *states_SHD.shape[1:]).transpose(1, 2)

    def together(self, states_QKHD: Tensor) -> Tensor:
        """The way back, [1, S, H, D]."""
        if self.is_in_place:
            return states_QKHD.flatten(0, 1).unsqueeze(0)
        rows_SC = _ToRows.apply(states_QKHD.flatten(2).flatten(0, 1), self.place_S)
        return rows_SC.view(1, -1, *states_QKHD.shape[2:])

    def behind_prefix(self, prefix_BHPD: Tensor, states_1HSD: Tensor) -> Tensor:
        """Keys or values of the clip's prefix and of the question, [Q, H, P + K, D]."""
        if len(prefix_BHPD) == 1:
            copies_QHPD = prefix_BHPD.expand(len(self.clip_Q), -1, -1, -1)
        else:
            copies_QHPD = _ForQuestions.apply(prefix_BHPD, self.clip_Q, self.questions_B)
        return torch.cat([copies_QHPD, self.apart(states_1HSD)], dim=2)


def layout_of(
    prefix: DynamicCache, clips: int, clip_Q: Tensor, row_QK: Tensor, tokens: int
) -> BranchLayout:
    """Layout of questions whose tokens' rows are given, −1 where there is none."""
    is_token_A = (row_QK >= 0).flatten()
    row_A = row_QK.flatten().clamp(min=0)
    place_S = torch.empty(tokens, dtype=torch.long, device=row_QK.device)
    place_S[row_A[is_token_A]] = is_token_A.nonzero().squeeze(1)
    questions_B = clip_Q.bincount(minlength=clips).tolist()
    is_in_place = torch.equal(row_A, torch.arange(tokens, device=row_A.device))
    return BranchLayout(prefix, clip_Q, questions_B, row_A, place_S, is_in_place)


def use_branch_attention(backbone: PreTrainedModel) -> None:
    """Let a backbone attend as here; without a layout it attends as it would have.

    Raises:
        ValueError: its attention cannot be replaced, or does what fused attention cannot.
    """
    if backbone.config.to_dict().get("attn_logit_softcapping"):
        raise ValueError(f"{type(backbone).__name__} caps its attention logits; choose one that does not")
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
