"""The model: a causal language model that reads frames, emits evidence tokens and finds their intervals.

The prefix (text and frames) runs once; its keys, values and hidden states serve every branch behind it.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from d2vlm_pipeline.model.config import ModelConfig
from d2vlm_pipeline.model.exact import at_least_single, exactly
from d2vlm_pipeline.model.heads import MatchHead
from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.model.prefix import PrefixCache, PrefixDone, inputs_of


@dataclass(frozen=True)
class PrefixState:
    """What branches need of a prefix: B clips, P tokens, T frames, D hidden units.

    The states of a frame of several tokens are the mean over them.
    """

    cache: DynamicCache
    valid_BP: Tensor
    next_position_B: Tensor
    frame_valid_BT: Tensor
    frames_in_BTD: Tensor  # input embeddings of the frames: what a question's `<evi>` takes on
    frames_semantic_BTD: Tensor  # intermediate states: what a response's `<evi>` takes on
    frames_match_BTD: Tensor  # states at the match layer, of which keys are made
    keys_BTD: Tensor

    def select(self, clip_Q: Tensor) -> PrefixState:
        """One row per question: the state of the clip it is about. The cache is taken over."""
        self.cache.batch_select_indices(clip_Q)
        return PrefixState(
            self.cache,
            self.valid_BP[clip_Q],
            self.next_position_B[clip_Q],
            self.frame_valid_BT[clip_Q],
            self.frames_in_BTD[clip_Q],
            self.frames_semantic_BTD[clip_Q],
            self.frames_match_BTD[clip_Q],
            self.keys_BTD[clip_Q],
        )


@dataclass(frozen=True)
class ModelOutput:
    """N supervised tokens, M evidence tokens, V vocabulary; rows as in the batch."""

    token_logits_NV: Tensor
    similarity_MT: Tensor
    queries_MD: Tensor
    states_MD: Tensor  # at the match layer, of which queries are made


class D2VLM(nn.Module):
    """Backbone, projector, query head and key head.

    ``complete_prefix`` runs the prefix to its end, for those who look at states that nothing here reads.
    """

    complete_prefix = False

    def __init__(self, config: ModelConfig, backbone: PreTrainedModel, projector: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.projector = projector
        width = backbone.config.hidden_size
        self.query_head = MatchHead(width, config.head_size)
        self.key_head = MatchHead(width, config.head_size)
        # Queries and keys start as one function: similarity means something from the first step.
        self.key_head.load_state_dict(self.query_head.state_dict())

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of all that trains; frozen weights of the backbone may be held with fewer bits."""
        return next(self.query_head.parameters()).dtype

    @property
    def layers(self) -> list[nn.Module]:
        """The backbone's decoder layers, in order."""
        return list(self.backbone.base_model.get_submodule("layers").children())

    def embed(self, token_ids: Tensor) -> Tensor:
        """Token ids → input embeddings."""
        return self.backbone.get_input_embeddings()(token_ids)

    def project(self, features_BTNC: Tensor) -> Tensor:
        """Stored features → n tokens per frame, [B, T, n, E].

        The first D of E channels are input embeddings; the following D are added behind the first layer, and
        so on (`run_prefix`).
        """
        frames = self.projector(features_BTNC.to(self.dtype))
        return frames.reshape(*frames.shape[:2], -1, frames.shape[-1])

    def run_prefix(
        self,
        ids_BP: Tensor,
        valid_BP: Tensor,
        position_ABP: Tensor,
        slot_BP: Tensor,
        frames_BTnE: Tensor,
        frame_valid_BT: Tensor,
    ) -> PrefixState:
        """Run text and frames once; by default frames see one another both ways (method.md §1.2)."""
        embeds = self.embed(ids_BP)
        frames_BTnD, *later = frames_BTnE.split(embeds.shape[-1], dim=-1)
        frames = frames_BTnD[frame_valid_BT].to(embeds.dtype)
        embeds = embeds.masked_scatter(slot_BP.unsqueeze(-1), frames)
        both_ways = self.config.backbone.frame_attention == "bidirectional"
        mask = additive_mask(prefix_visible(valid_BP, slot_BP, both_ways), embeds.dtype)
        inputs: dict[str, Any] = {
            "inputs_embeds": embeds,
            "attention_mask": mask,
            "position_ids": position_ABP if len(position_ABP) > 1 else position_ABP[0],
        }
        if later:
            inputs["visual_pos_masks"] = slot_BP
            inputs["deepstack_visual_embeds"] = [level[frame_valid_BT].flatten(0, 1) for level in later]
        cache, semantic, match = self._prefix_states(inputs)
        frames_match = self._at_frames(match, slot_BP, frame_valid_BT)
        return PrefixState(
            cache=cache,
            valid_BP=valid_BP,
            next_position_B=1 + position_ABP.masked_fill(~valid_BP, -1).amax((0, 2)),
            frame_valid_BT=frame_valid_BT,
            frames_in_BTD=frames_BTnD.mean(2),
            frames_semantic_BTD=self._at_frames(semantic, slot_BP, frame_valid_BT),
            frames_match_BTD=frames_match,
            keys_BTD=self.key_head(frames_match),
        )

    def forward(self, batch: PackedBatch) -> tuple[ModelOutput, PrefixState]:
        """Logits of the supervised tokens and similarities of the evidence tokens of a packed batch."""
        state = self.run_prefix(
            batch.prefix_ids_BP,
            batch.prefix_valid_BP,
            batch.prefix_position_ABP,
            batch.frame_slot_BP,
            self.project(batch.features_BTNC),
            batch.frame_valid_BT,
        )
        embeds = self.embed(batch.suffix_ids_BS)
        embeds = self._add_evidence(embeds, batch, state)
        visible = branch_visible(batch.suffix_group_BS, batch.suffix_variant_BS)
        sees_prefix = state.valid_BP[:, None, :].expand(-1, visible.shape[1], -1)
        mask = additive_mask(torch.cat([sees_prefix, visible], dim=-1), embeds.dtype)
        hidden = self._hidden_states(embeds, mask, batch.suffix_position_BS, state.cache)
        states = hidden[self.config.match_layer].flatten(0, 1)[batch.query_row_M]
        queries = self.query_head(states)
        logits = self.token_logits(hidden[-1].flatten(0, 1)[batch.token_row_N])
        found = similarity(queries, state.keys_BTD[batch.query_clip_M])
        return ModelOutput(logits, found, queries, states), state

    def token_logits(self, hidden_ND: Tensor) -> Tensor:
        """Vocabulary logits of final hidden states."""
        return at_least_single(self.backbone.get_output_embeddings()(hidden_ND))

    def words_of(self, states_ND: Tensor) -> Tensor:
        """Vocabulary logits of intermediate states: what they would say if they were the last."""
        norm = self.backbone.base_model.get_submodule("norm")
        return self.token_logits(norm(states_ND))

    def decode_step(
        self, embeds_BSD: Tensor, mask_B1SL: Tensor, position_BS: Tensor, cache: DynamicCache
    ) -> tuple[Tensor, Tensor]:
        """Run new positions behind a cache; returns match-layer and final hidden states, [B, S, D] each."""
        hidden = self._hidden_states(embeds_BSD, mask_B1SL, position_BS, cache)
        return hidden[self.config.match_layer], hidden[-1]

    def _prefix_states(self, inputs: dict[str, Any]) -> tuple[DynamicCache, Tensor, Tensor]:
        """Cache, and hidden states at the semantic and at the match layer, [B, P, D] each."""
        count = len(self.layers)
        semantic, match = self.config.semantic_layer, self.config.match_layer % (count + 1)
        is_short = not self.complete_prefix and max(semantic, match) < count
        cache = PrefixCache(count) if is_short else DynamicCache()
        # A layer's input is the hidden state of its number (0 = embeddings).
        with inputs_of(self.layers, {semantic, match} - {count}) as found, suppress(PrefixDone):
            output = self.backbone.base_model(
                **inputs,
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=self.complete_prefix,
            )
            found[count] = output.last_hidden_state
        return cache, found[semantic], found[match]

    def _hidden_states(
        self, embeds: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache
    ) -> tuple[Tensor, ...]:
        output = self.backbone.base_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=True,
        )
        hidden: tuple[Tensor, ...] = output.hidden_states
        return hidden

    @staticmethod
    def _at_frames(hidden_BPD: Tensor, slot_BP: Tensor, frame_valid_BT: Tensor) -> Tensor:
        """Mean state over the tokens of each frame, [B, T, D]."""
        empty = hidden_BPD.new_zeros(*frame_valid_BT.shape, hidden_BPD.shape[-1])
        of_frames = hidden_BPD[slot_BP].unflatten(0, (int(frame_valid_BT.sum()), -1)).mean(1)
        return empty.masked_scatter(frame_valid_BT.unsqueeze(-1), of_frames)

    def _add_evidence(self, embeds_BSD: Tensor, batch: PackedBatch, state: PrefixState) -> Tensor:
        """Every `<evi>` takes on the mean state of its frames (method.md §1.4 b, c)."""
        if batch.evi_row_E.numel() == 0:
            return embeds_BSD
        source = torch.where(
            batch.evi_from_question_E[:, None],
            pool_spans(state.frames_in_BTD, batch.evi_clip_E, batch.evi_span_E2),
            pool_spans(state.frames_semantic_BTD, batch.evi_clip_E, batch.evi_span_E2),
        )
        flat = embeds_BSD.flatten(0, 1).index_add(0, batch.evi_row_E, source.to(embeds_BSD.dtype))
        return flat.view_as(embeds_BSD)


def similarity(queries_MD: Tensor, keys_MTD: Tensor) -> Tensor:
    """Logits q·k/√D, [M, T] (method.md §1.4 a)."""
    with exactly(queries_MD):
        return torch.einsum("md,mtd->mt", queries_MD, keys_MTD) / math.sqrt(queries_MD.shape[-1])


def pool_spans(states_BTD: Tensor, clip_E: Tensor, span_E2: Tensor) -> Tensor:
    """Mean state over frames first..last (inclusive) of each span, [E, D]."""
    frames = torch.arange(states_BTD.shape[1], device=states_BTD.device)
    inside_ET = (frames >= span_E2[:, :1]) & (frames <= span_E2[:, 1:])
    weights_ET = inside_ET.to(states_BTD.dtype) / inside_ET.sum(-1, keepdim=True)
    return torch.einsum("et,etd->ed", weights_ET, states_BTD[clip_E])


def prefix_visible(valid_BP: Tensor, slot_BP: Tensor, both_ways: bool) -> Tensor:
    """bool [B, P, P]: causal, and frames may see one another both ways; padding is seen by nobody."""
    length = valid_BP.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=valid_BP.device).tril()
    if both_ways:
        causal = causal | (slot_BP[:, :, None] & slot_BP[:, None, :])
    return causal & valid_BP[:, None, :]


def branch_visible(group_BS: Tensor, variant_BS: Tensor) -> Tensor:
    """bool [B, S, S]: causal within a question and its own response; other branches do not exist."""
    length = group_BS.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=group_BS.device).tril()
    same_group = (group_BS[:, :, None] == group_BS[:, None, :]) & (group_BS[:, None, :] >= 0)
    same_variant = (variant_BS[:, None, :] == 0) | (variant_BS[:, :, None] == variant_BS[:, None, :])
    return causal & same_group & same_variant


def additive_mask(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """bool [B, S, L] → additive mask [B, 1, S, L]: 0 where visible, the lowest finite number elsewhere."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min).unsqueeze(1)
