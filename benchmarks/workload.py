"""The work that both implementations are given: random weights, random frames, responses of a known shape."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2vlm_pipeline.model.backbones import tiny_llama
from d2vlm_pipeline.model.config import BackboneConfig, ModelConfig, SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import FRAME_SLOT, Branch, Clip, PackedBatch, Prefix, Response, pack
from d2vlm_pipeline.objectives import official_labels, official_spans

USER, EVI, EVI_END, END = 1, 2, 3, 4
FIRST_WORD = 10
ALPHA = 2.0


@dataclass(frozen=True)
class Shape:
    """Sizes of the model and of one step; the defaults are those of the published code's timing."""

    frames: int = 128
    question: int = 16
    response: int = 64
    batch: int = 4
    events: int = 3
    hidden: int = 256
    layers: int = 8
    heads: int = 8
    vocabulary: int = 2000


@dataclass(frozen=True)
class Answer:
    """Response tokens and the events that its `<evi>` stand for, in frames."""

    ids: list[int]
    events: list[tuple[float, float]]


@dataclass(frozen=True)
class Example:
    """One clip with one question; answers are the true one and, for preferences, a rejected one."""

    frames_TD: Tensor
    question: list[int]
    answers: list[Answer]


class FramesAsTheyAre(nn.Module):
    """Stands for encoder and projector, which both implementations share."""

    def forward(self, features_BTNC: Tensor) -> Tensor:
        """float [B, T, 1, D] → [B, T, D]."""
        return features_BTNC.squeeze(2)


def build(shape: Shape, seed: int = 0) -> D2VLM:
    """A model of the shape, random weights of a size at which logits and similarities are far from zero."""
    torch.manual_seed(seed)
    backbone = BackboneConfig(
        hidden_size=shape.hidden,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        vocab_size=shape.vocabulary,
        tie_embeddings=False,
    )
    config = ModelConfig(
        backbone=backbone,
        span=SpanConfig(method="best_run", threshold=0.6, decline=False),
        frame_tokens=1,
        frame_channels=shape.hidden,
        semantic_layer=min(6, shape.layers - 2),
        head_size=shape.hidden // 2,
        compat="official",
    )
    return D2VLM(config, tiny_llama(backbone), FramesAsTheyAre()).eval()


def examples(shape: Shape, answers: int = 1, seed: int = 0) -> list[Example]:
    """A batch of clips with a question each."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    return [
        Example(
            torch.randn(shape.frames, shape.hidden) * 0.1,
            _words(rng, shape, shape.question),
            [_answer(rng, shape) for _ in range(answers)],
        )
        for _ in range(shape.batch)
    ]


def same_clip(shape: Shape, questions: int, seed: int = 0) -> list[Example]:
    """Several questions about one clip."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    frames = torch.randn(shape.frames, shape.hidden) * 0.1
    return [
        Example(frames, _words(rng, shape, shape.question), [_answer(rng, shape)]) for _ in range(questions)
    ]


def _words(rng: random.Random, shape: Shape, count: int) -> list[int]:
    return [rng.randrange(FIRST_WORD, shape.vocabulary) for _ in range(count)]


def _answer(rng: random.Random, shape: Shape) -> Answer:
    """`<evi>`×K `</evi>`, words with another `<evi>`×K among them, and the end token."""
    text = _words(rng, shape, shape.response - 2 * shape.events - 2)
    for _ in range(shape.events):
        text.insert(rng.randrange(len(text) + 1), EVI)
    starts = sorted(rng.sample(range(shape.frames - 12), shape.events))
    events = [(float(start), float(start + rng.randrange(2, 12))) for start in starts]
    return Answer([EVI] * shape.events + [EVI_END, *text, END], events)


def packed(given: Sequence[Example], share_clip: bool = False) -> PackedBatch:
    """Our form of the work: one clip per example, or one clip with all questions."""
    branches = [_branch(example) for example in given]
    prefix = Prefix([USER, *[FRAME_SLOT] * len(given[0].frames_TD)])
    if share_clip:
        return pack([Clip(prefix, given[0].frames_TD[:, None], branches)])
    return pack(
        [
            Clip(prefix, example.frames_TD[:, None], [branch])
            for example, branch in zip(given, branches, strict=True)
        ]
    )


def _branch(example: Example) -> Branch:
    responses = [_response(answer, len(example.frames_TD)) for answer in example.answers]
    return Branch(example.question, [], [], responses)


def _response(answer: Answer, frames: int) -> Response:
    count = len(answer.events)
    return Response(
        token_ids=answer.ids,
        supervised=[True] * len(answer.ids),
        evi_positions=[place for place, token in enumerate(answer.ids) if token == EVI],
        evidence=official_spans(answer.events, frames) * 2,
        labels_KT=official_labels(answer.events, frames, ALPHA, rounded=True).repeat(2, 1),
        pairs=[(k, k + count) for k in range(count)],
    )
