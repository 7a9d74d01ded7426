"""The model: a causal language model that reads frames, emits evidence tokens and finds their intervals.

The prefix (text and frames) runs once; its keys, values and hidden states serve every branch behind it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from d2vlm_pipeline.model.branches import layout_of, use_branch_attention
from d2vlm_pipeline.model.config import ModelConfig
from d2vlm_pipeline.model.evidence import pool_spans, similarity
from d2vlm_pipeline.model.exact import at_least_single
from d2vlm_pipeline.model.heads import MatchHead
from d2vlm_pipeline.model.masks import additive_mask, branch_visible, prefix_visible
from d2vlm_pipeline.model.packing import PackedBatch, PaddedQuestions
from d2vlm_pipeline.model.prefix import PrefixCache, PrefixDone, inputs_of, rows_of


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

    def rows(self, clip_Q: Tensor) -> PrefixState:
        """One row per question: the state of the clip it is about, in a cache of its own to go on with."""
        return PrefixState(
            rows_of(self.cache, clip_Q),
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
        use_branch_attention(backbone)
        self._count = len(self.layers)
        self._semantic, self._match = config.semantic_layer, config.match_layer % (self._count + 1)
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

    @property
    def device(self) -> torch.device:
        """Where the backbone is."""
        return next(self.backbone.parameters()).device

    def embed(self, token_ids: Tensor) -> Tensor:
        """Token ids → input embeddings."""
        return self.backbone.get_input_embeddings()(token_ids)

    @property
    def reads_question(self) -> bool:
        """Whether frames are seen with the question in mind: each question then has a prefix of its own."""
        return self.config.projector.reads_question

    def project(self, features_BTNC: Tensor, questions: PaddedQuestions | None = None) -> Tensor:
        """Stored features, with the question where it is read → n tokens per frame, [B, T, n, E].

        The first D of E channels are input embeddings; the following D are added behind the first layer, and
        so on (`run_prefix`).
        """
        read = () if questions is None else (questions,)
        frames = self.projector(features_BTNC.to(self.dtype), *read)
        return frames.reshape(*frames.shape[:2], -1, frames.shape[-1])

    def run_prefix(
        self,
        embeds_BPD: Tensor,
        valid_BP: Tensor,
        position_ABP: Tensor,
        slot_BP: Tensor,
        frames_BTnE: Tensor,
        frame_valid_BT: Tensor,
    ) -> PrefixState:
        """Run text and frames once; by default frames see one another both ways (method.md §1.2).

        What stands in ``embeds_BPD`` at the slots gives way to the frames.
        """
        frames_BTnD, *later = frames_BTnE.split(embeds_BPD.shape[-1], dim=-1)
        frames = frames_BTnD[frame_valid_BT].to(embeds_BPD.dtype)
        embeds = embeds_BPD.masked_scatter(slot_BP.unsqueeze(-1), frames)
        both_ways = self.config.backbone.frame_attention == "bidirectional"
        inputs: dict[str, Any] = {}
        if later:
            inputs["visual_pos_masks"] = slot_BP
            inputs["deepstack_visual_embeds"] = [level[frame_valid_BT].flatten(0, 1) for level in later]
        # Up to the last layer's keys and values, unless its output is wanted.
        is_short = not self.complete_prefix and max(self._semantic, self._match) < self._count
        cache = PrefixCache(self._count) if is_short else DynamicCache()
        found = self._layer_inputs(
            {self._semantic, self._match},
            embeds,
            additive_mask(prefix_visible(valid_BP, slot_BP, both_ways), embeds.dtype),
            position_ABP if len(position_ABP) > 1 else position_ABP[0],
            past_key_values=cache,
            **inputs,
        )
        frames_match = self._at_frames(found[self._match], slot_BP, frame_valid_BT)
        return PrefixState(
            cache=cache,
            valid_BP=valid_BP,
            next_position_B=1 + position_ABP.masked_fill(~valid_BP, -1).amax((0, 2)),
            frame_valid_BT=frame_valid_BT,
            frames_in_BTD=frames_BTnD.mean(2),
            frames_semantic_BTD=self._at_frames(found[self._semantic], slot_BP, frame_valid_BT),
            frames_match_BTD=frames_match,
            keys_BTD=self.key_head(frames_match),
        )

    def forward(self, batch: PackedBatch) -> tuple[ModelOutput, PrefixState]:
        """Logits of the supervised tokens and similarities of the evidence tokens of a packed batch."""
        # One lookup: every further one would bring a gradient of the whole table.
        prefix_ids, tokens = batch.prefix_ids_BP, len(batch.suffix_ids_S)
        embeds = self.embed(torch.cat([prefix_ids.flatten(), batch.suffix_ids_S]))
        prefix, suffix = embeds.split([prefix_ids.numel(), tokens])
        state = self.run_prefix(
            prefix.unflatten(0, prefix_ids.shape),
            batch.prefix_valid_BP,
            batch.prefix_position_ABP,
            batch.frame_slot_BP,
            self.project(batch.features_BTNC, batch.questions() if self.reads_question else None),
            batch.frame_valid_BT,
        )
        question_visible = branch_visible(
            state.valid_BP[batch.question_clip_Q], batch.question_row_QK >= 0, batch.question_variant_QK
        )
        layout = layout_of(
            state.cache, len(prefix_ids), batch.question_clip_Q, batch.question_row_QK, tokens
        )
        found = self._layer_inputs(
            {self._match},
            self._add_evidence(suffix, batch, state)[None],
            additive_mask(question_visible, embeds.dtype),
            batch.suffix_position_S[None],
            branches=layout,
        )
        states = found[self._match][0].index_select(0, batch.query_row_M)
        queries = self.query_head(states)
        logits = self.token_logits(found[self._count][0].index_select(0, batch.token_row_N))
        likeness = similarity(queries, state.keys_BTD, batch.query_clip_M)
        return ModelOutput(logits, likeness, queries, states), state

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
        found = self._layer_inputs({self._match}, embeds_BSD, mask_B1SL, position_BS, past_key_values=cache)
        return found[self._match], found[self._count]

    def _layer_inputs(
        self, wanted: set[int], embeds: Tensor, mask: Tensor, positions: Tensor, **rest: Any
    ) -> dict[int, Tensor]:
        """Hidden states by number: those wanted, and the last unless the cache ends the pass before it.

        A layer's input is the hidden state of its number (0 = embeddings); the last is normed.
        """
        with inputs_of(self.layers, wanted - {self._count}) as found, suppress(PrefixDone):
            output = self.backbone.base_model(
                inputs_embeds=embeds,
                attention_mask=mask,
                position_ids=positions,
                use_cache="past_key_values" in rest,
                output_hidden_states=self.complete_prefix,
                **rest,
            )
            found[self._count] = output.last_hidden_state
        return found

    @staticmethod
    def _at_frames(hidden_BPD: Tensor, slot_BP: Tensor, frame_valid_BT: Tensor) -> Tensor:
        """Mean state over the tokens of each frame, [B, T, D]."""
        empty = hidden_BPD.new_zeros(*frame_valid_BT.shape, hidden_BPD.shape[-1])
        of_frames = hidden_BPD[slot_BP].unflatten(0, (int(frame_valid_BT.sum()), -1)).mean(1)
        return empty.masked_scatter(frame_valid_BT.unsqueeze(-1), of_frames)

    def _add_evidence(self, embeds_SD: Tensor, batch: PackedBatch, state: PrefixState) -> Tensor:
        """Every `<evi>` takes on the mean state of its frames (method.md §1.4 b, c)."""
        if batch.evi_row_E.numel() == 0:
            return embeds_SD
        source = torch.where(
            batch.evi_from_question_E[:, None],
            pool_spans(state.frames_in_BTD, batch.evi_clip_E, batch.evi_span_E2),
            pool_spans(state.frames_semantic_BTD, batch.evi_clip_E, batch.evi_span_E2),
        )
        return embeds_SD.index_add(0, batch.evi_row_E, source.to(embeds_SD.dtype))
