"""The published way to answer, written straightforwardly: one question at a time, a search at every token.

Prefix and question go through together, all hidden states and logits kept; then token by token with a cache,
each time with the similarity of the last state to every frame and the interval it selects, whether the token
is `<evi>` or not (method.md §6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from benchmarks.workload import EVI, USER
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.spans import best_run_span

Choose = Callable[[int, Tensor], int]
"""(step, logits [V]) → token."""


@torch.inference_mode()
def answer(
    model: D2VLM, frames_TD: Tensor, question: Sequence[int], choose: Choose, tokens: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens of the answer and the interval of each `<evi>` among them."""
    cache, count = DynamicCache(), len(frames_TD)
    embeds = torch.cat([_embed(model, [USER]), frames_TD, _embed(model, question)])
    hidden = _run(model, embeds, _mask(len(embeds), count), 0, cache)
    semantic_TD = hidden[model.config.semantic_layer][1 : count + 1]
    keys = model.key_head(hidden[model.config.match_layer][1 : count + 1])
    said: list[int] = []
    found: list[tuple[int, int]] = []
    for step in range(tokens):
        logits_SV = model.token_logits(hidden[-1])
        span = _search(model, hidden[model.config.match_layer][-1:], keys)
        said.append(choose(step, logits_SV[-1]))
        embeds = _embed(model, said[-1:])
        if said[-1] == EVI:
            found.append(span)
            embeds = embeds + semantic_TD[span[0] : span[1] + 1].mean(dim=0)
        if step + 1 < tokens:
            at = cache.get_seq_length()
            hidden = _run(model, embeds, torch.zeros(1, at + 1), at, cache)
    return said, found


def _embed(model: D2VLM, ids: Sequence[int]) -> Tensor:
    return model.embed(torch.tensor(list(ids)))


def _mask(length: int, frames: int) -> Tensor:
    visible = torch.ones(length, length, dtype=torch.bool).tril()
    visible[1 : frames + 1, 1 : frames + 1] = True
    return torch.zeros(length, length).masked_fill(~visible, torch.finfo(torch.float32).min)


def _run(model: D2VLM, embeds_SD: Tensor, mask_SL: Tensor, at: int, cache: DynamicCache) -> list[Tensor]:
    output = model.backbone.base_model(
        inputs_embeds=embeds_SD[None],
        attention_mask=mask_SL[None, None],
        position_ids=torch.arange(at, at + len(embeds_SD))[None],
        past_key_values=cache,
        use_cache=True,
        output_hidden_states=True,
    )
    return [states[0] for states in output.hidden_states]


def _search(model: D2VLM, state_1D: Tensor, keys_TD: Tensor) -> tuple[int, int]:
    query = model.query_head(state_1D)
    scores = torch.sigmoid(query @ keys_TD.T / math.sqrt(query.shape[-1]))
    return best_run_span(scores[0].numpy(), model.config.span.threshold)
