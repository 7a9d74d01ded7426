"""The published algorithm, written straightforwardly: what our training step is measured against.

Two passes: one over the prefix, all layers and logits included, for the states that evidence takes on; one
over the whole sequence with a dense mask, eager attention and logits for every row (method.md §1.5, §3, §4).
Our own weights run through it, so that its losses can be compared with ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.workload import ALPHA, EVI, USER, Answer, Example
from d2vlm_pipeline.model.d2vlm import D2VLM

Labels = Literal["loops", "vectorised"]
BETA = 0.1
UNSUPERVISED = -100


@dataclass(frozen=True)
class Row:
    """One sequence: tokens behind the frames, where each answer begins, and what it claims."""

    example: Example
    answers: Sequence[Answer]

    @property
    def suffix(self) -> list[int]:
        """Question and answers, one after another."""
        return [*self.example.question, *[token for answer in self.answers for token in answer.ids]]

    def begins(self, index: int) -> int:
        """Place in the suffix where an answer begins."""
        return len(self.example.question) + sum(len(answer.ids) for answer in self.answers[:index])


@dataclass(frozen=True)
class Losses:
    """What a row contributes: token losses, and per answer grounding, consistency and log π."""

    token_sum: Tensor
    tokens: int
    grounding: Tensor
    consistency: Tensor
    log_pi: list[Tensor]


def sft_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """Supervised loss, weights 1, 10, 10."""
    return _supervised(_losses(model, [Row(example, example.answers[:1]) for example in examples], labels))


def fpo_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """Supervised loss of the chosen answers and the preference loss, both behind one prefix."""
    rows = _losses(model, [Row(example, example.answers) for example in examples], labels)
    margins = torch.stack([BETA * (row.log_pi[0] - row.log_pi[1]) for row in rows])
    return _supervised(rows) - functional.logsigmoid(margins).mean()


def dpo_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """The same with every answer in a sequence of its own."""
    chosen = _losses(model, [Row(example, example.answers[:1]) for example in examples], labels)
    rejected = _losses(model, [Row(example, example.answers[1:]) for example in examples], labels)
    margins = torch.stack([BETA * (c.log_pi[0] - r.log_pi[0]) for c, r in zip(chosen, rejected, strict=True)])
    return _supervised(chosen) - functional.logsigmoid(margins).mean()


def _supervised(rows: Sequence[Losses]) -> Tensor:
    token = torch.stack([row.token_sum for row in rows]).sum() / sum(row.tokens for row in rows)
    grounding = torch.stack([row.grounding for row in rows]).mean()
    return token + 10.0 * grounding + 10.0 * torch.stack([row.consistency for row in rows]).mean()


def _losses(model: D2VLM, rows: Sequence[Row], labels: Labels) -> list[Losses]:
    frames = torch.stack([row.example.frames_TD for row in rows])
    count = frames.shape[1]
    prefix = torch.cat([_embed(model, [[USER]] * len(rows)), frames], dim=1)
    mask = _prefix_mask(count + 1).expand(len(rows), -1, -1, -1)
    hidden, _ = _run(model, prefix, mask, torch.arange(count + 1).expand(len(rows), -1))
    semantic = hidden[model.config.semantic_layer][:, 1:]
    suffix = [_with_evidence(model, row, semantic[at]) for at, row in enumerate(rows)]
    whole = torch.cat([prefix, torch.stack(suffix)], dim=1)
    masks, positions = zip(*[_whole_mask(row, count + 1) for row in rows], strict=True)
    hidden, logits = _run(model, whole, torch.stack(masks)[:, None], torch.stack(positions))
    match = hidden[model.config.match_layer]
    token = _token_losses(logits, rows, count)
    return [_row_losses(model, row, match[at], token[at], count, labels) for at, row in enumerate(rows)]


def _token_losses(logits_BLV: Tensor, rows: Sequence[Row], frames: int) -> Tensor:
    """Cross-entropy of every row of logits, zero where no token of an answer is predicted, [B, L]."""
    targets = torch.full(logits_BLV.shape[:2], UNSUPERVISED)
    for at, row in enumerate(rows):
        for index, answer in enumerate(row.answers):
            targets[at, _predictors(row, index, frames)] = torch.tensor(answer.ids)
    losses = functional.cross_entropy(
        logits_BLV.flatten(0, 1), targets.flatten(), ignore_index=UNSUPERVISED, reduction="none"
    )
    return losses.view_as(targets)


def _predictors(row: Row, index: int, frames: int) -> list[int]:
    """Rows whose logits predict an answer's tokens: the first follows the question, the others each other."""
    base = frames + 1 + row.begins(index)
    asked = frames + len(row.example.question)
    return [asked if at == 0 else base + at - 1 for at in range(len(row.answers[index].ids))]


def _embed(model: D2VLM, ids: list[list[int]]) -> Tensor:
    return model.embed(torch.tensor(ids))


def _run(model: D2VLM, embeds: Tensor, mask: Tensor, positions: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    output = model.backbone.base_model(
        inputs_embeds=embeds,
        attention_mask=mask,
        position_ids=positions,
        use_cache=False,
        output_hidden_states=True,
    )
    return output.hidden_states, model.token_logits(output.hidden_states[-1])


def _with_evidence(model: D2VLM, row: Row, semantic_TD: Tensor) -> Tensor:
    embeds = _embed(model, [row.suffix])[0]
    added = torch.zeros_like(embeds)
    for index, answer in enumerate(row.answers):
        places = [row.begins(index) + at for at, token in enumerate(answer.ids) if token == EVI]
        for place, (start, end) in zip(places, [*answer.events, *answer.events], strict=True):
            added[place] = semantic_TD[round(start) : round(end) + 1].mean(dim=0)
    return embeds + added


def _prefix_mask(length: int) -> Tensor:
    visible = torch.ones(length, length, dtype=torch.bool).tril()
    visible[1:, 1:] = True
    return _additive(visible)[None, None]


def _whole_mask(row: Row, prefix: int) -> tuple[Tensor, Tensor]:
    """Additive mask and position ids; a second answer sees the question, not the first answer."""
    length = prefix + len(row.suffix)
    visible = torch.ones(length, length, dtype=torch.bool).tril()
    visible[1:prefix, 1:prefix] = True
    positions = torch.arange(length)
    if len(row.answers) == 2:
        first, second = prefix + row.begins(0), prefix + row.begins(1)
        visible[second:, first:second] = False
        positions[second:] -= second - first
    return _additive(visible), positions


def _additive(visible: Tensor) -> Tensor:
    return torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)


def _row_losses(
    model: D2VLM, row: Row, match_LD: Tensor, token_L: Tensor, frames: int, labels: Labels
) -> Losses:
    keys = model.key_head(match_LD[1 : frames + 1])
    found = []
    for index, answer in enumerate(row.answers):
        rows = _predictors(row, index, frames)
        token = token_L[rows]
        places = [rows[at] for at, id_ in enumerate(answer.ids) if id_ == EVI]
        queries = model.query_head(match_LD[places])
        similarity = queries @ keys.T / math.sqrt(queries.shape[-1])
        label = (_looped if labels == "loops" else _vectorised)(answer.events, frames).repeat(2, 1)
        grounding = functional.binary_cross_entropy_with_logits(similarity, label)
        half = len(answer.events)
        consistency = (queries[:half] - queries[half:]).abs().mean()
        sigma = similarity.sigmoid()
        log_g = torch.log(label * sigma + (1 - label) * (1 - sigma) + 1e-10).sum()
        found.append((token.sum(), grounding, consistency, log_g - token.sum()))
    first = found[0]
    return Losses(first[0], len(row.answers[0].ids), first[1], first[2], [each[3] for each in found])


def _looped(events: Sequence[tuple[float, float]], frames: int) -> Tensor:
    """α^(−distance to the interval in frames), a frame at a time."""
    rows = []
    for start, end in events:
        row = []
        for frame in range(frames):
            inside = round(start) <= frame <= round(end)
            distance = 0.0 if inside else min(abs(frame - round(start)), abs(frame - round(end)))
            row.append(ALPHA**-distance)
        rows.append(row)
    return torch.tensor(rows)


def _vectorised(events: Sequence[tuple[float, float]], frames: int) -> Tensor:
    bounds = torch.tensor(events).round()
    frame = torch.arange(frames)
    early, late = bounds[:, :1] - frame, frame - bounds[:, 1:]
    return ALPHA ** -torch.maximum(early, late).clamp(min=0)
