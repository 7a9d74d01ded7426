"""The published algorithm, written straightforwardly: what our training step is measured against.

Two whole passes with eager attention, dense masks, and logits and loss over every row: one over the prefix
for the states that evidence takes on, one over everything (method.md §1.5, §3); preferences add the
likelihood of both answers (§4).
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
from transformers.loss.loss_utils import ForCausalLMLoss

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
    """What a row contributes: grounding, consistency, and per answer the likelihood of its intervals."""

    grounding: Tensor
    consistency: Tensor
    log_g: list[Tensor]


@dataclass(frozen=True)
class Passed:
    """Both passes over some rows: logits of every row, and what each row contributes."""

    rows: Sequence[Row]
    frames: int
    logits_BLV: Tensor
    losses: list[Losses]


def sft_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """Supervised loss, weights 1, 10, 10."""
    return _supervised(_passed(model, [Row(example, example.answers[:1]) for example in examples], labels))


def fpo_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """Supervised loss of the chosen answers and the preference loss, both behind one prefix."""
    both = _passed(model, [Row(example, example.answers) for example in examples], labels)
    return _supervised(both) + _preference(_log_pi(both, 0), _log_pi(both, 1))


def dpo_step(model: D2VLM, examples: Sequence[Example], labels: Labels) -> Tensor:
    """The same with every answer in a sequence of its own."""
    chosen = _passed(model, [Row(example, example.answers[:1]) for example in examples], labels)
    rejected = _passed(model, [Row(example, example.answers[1:]) for example in examples], labels)
    return _supervised(chosen) + _preference(_log_pi(chosen, 0), _log_pi(rejected, 0))


def _supervised(passed: Passed) -> Tensor:
    targets = torch.full(passed.logits_BLV.shape[:2], UNSUPERVISED)
    for at, row in enumerate(passed.rows):
        first = passed.frames + 1 + row.begins(0)
        targets[at, first : first + len(row.answers[0].ids)] = torch.tensor(row.answers[0].ids)
    token = ForCausalLMLoss(passed.logits_BLV, targets, passed.logits_BLV.shape[-1])
    grounding = torch.stack([losses.grounding for losses in passed.losses]).mean()
    return token + 10.0 * grounding + 10.0 * torch.stack([each.consistency for each in passed.losses]).mean()


def _preference(chosen_B: Tensor, rejected_B: Tensor) -> Tensor:
    return -functional.logsigmoid(BETA * (chosen_B - rejected_B)).mean()


def _log_pi(passed: Passed, index: int) -> Tensor:
    """Log-likelihood of one answer of every row, [B]."""
    found = []
    for at, row in enumerate(passed.rows):
        rows = _predictors(row, index, passed.frames)
        log_p = passed.logits_BLV[at, rows].log_softmax(-1)
        text = log_p.gather(1, torch.tensor(row.answers[index].ids)[:, None]).sum()
        found.append(text + passed.losses[at].log_g[index])
    return torch.stack(found)


def _passed(model: D2VLM, rows: Sequence[Row], labels: Labels) -> Passed:
    frames = torch.stack([row.example.frames_TD for row in rows])
    count = frames.shape[1]
    prefix = torch.cat([_embed(model, [[USER]] * len(rows)), frames], dim=1)
    mask = _prefix_mask(count + 1).expand(len(rows), -1, -1, -1)
    hidden, logits = _run(model, prefix, mask, torch.arange(count + 1).expand(len(rows), -1))
    # Of nothing supervised, and thrown away: the published first pass is a whole one.
    ForCausalLMLoss(logits, torch.full(prefix.shape[:2], UNSUPERVISED), logits.shape[-1])
    semantic = hidden[model.config.semantic_layer][:, 1:]
    suffix = [_with_evidence(model, row, semantic[at]) for at, row in enumerate(rows)]
    whole = torch.cat([prefix, torch.stack(suffix)], dim=1)
    masks, positions = zip(*[_whole_mask(row, count + 1) for row in rows], strict=True)
    hidden, logits = _run(model, whole, torch.stack(masks)[:, None], torch.stack(positions))
    match = hidden[model.config.match_layer]
    losses = [_row_losses(model, row, match[at], count, labels) for at, row in enumerate(rows)]
    return Passed(rows, count, logits, losses)


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


def _row_losses(model: D2VLM, row: Row, match_LD: Tensor, frames: int, labels: Labels) -> Losses:
    keys = model.key_head(match_LD[1 : frames + 1])
    found = []
    for index, answer in enumerate(row.answers):
        rows = _predictors(row, index, frames)
        places = [rows[at] for at, id_ in enumerate(answer.ids) if id_ == EVI]
        queries = model.query_head(match_LD[places])
        similarity = queries @ keys.T / math.sqrt(queries.shape[-1])
        label = (_looped if labels == "loops" else _vectorised)(answer.events, frames).repeat(2, 1)
        grounding = functional.binary_cross_entropy_with_logits(similarity, label)
        half = len(answer.events)
        consistency = (queries[:half] - queries[half:]).abs().mean()
        sigma = similarity.sigmoid()
        log_g = torch.log(label * sigma + (1 - label) * (1 - sigma) + 1e-10).sum()
        found.append((grounding, consistency, log_g))
    return Losses(found[0][0], found[0][1], [each[2] for each in found])


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
