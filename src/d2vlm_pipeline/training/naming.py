"""Naming: a fresh projector learns to say in a pretrained model's own embeddings what a frame shows.

The target of a frame is the mean input embedding of its captions' words. The language model does not run:
a step costs a thousandth of one that goes through it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import pad_prefixes
from d2vlm_pipeline.model.tokens import encode
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.data import windowed_epoch
from d2vlm_pipeline.training.shown import ShownClip

NOTHING = "nothing happens"


@dataclass(frozen=True)
class NamingBatch:
    """Frames of B clips and the mean embedding of the words for each."""

    features_BTNC: Tensor
    frame_valid_BT: Tensor
    words_BTD: Tensor

    def to(self, device: torch.device) -> NamingBatch:
        """The same batch on another device."""
        return NamingBatch(
            self.features_BTNC.to(device), self.frame_valid_BT.to(device), self.words_BTD.to(device)
        )


def named_frames(
    clips: Sequence[ShownClip], model: D2VLM, tokenizer: PreTrainedTokenizerBase
) -> list[Tensor]:
    """What the frames of every clip should project to, [T, D] each."""
    known: dict[tuple[str, ...], Tensor] = {}
    for captions in {tuple(captions) for clip in clips for captions in clip.shown}:
        ids = encode(f" {' and '.join(captions) or NOTHING}", tokenizer)
        with torch.no_grad():
            known[captions] = model.embed(torch.tensor(ids, device=model.device)).float().mean(0).cpu()
    return [torch.stack([known[tuple(captions)] for captions in clip.shown]) for clip in clips]


def naming_batches(
    clips: Sequence[ShownClip], targets: Sequence[Tensor], clips_per_step: int, seed: int
) -> Iterator[list[NamingBatch]]:
    """Steps of one batch without end; their order depends on the seed and the clips alone."""
    pairs = list(zip(clips, targets, strict=True))
    lengths = [len(target) for target in targets]
    for epoch in itertools.count():
        rng = random.Random(derive_seed(seed, "naming", epoch))
        for chosen in windowed_epoch(pairs, lengths, clips_per_step, rng):
            yield [_batch(chosen)]


def _batch(chosen: Sequence[tuple[ShownClip, Tensor]]) -> NamingBatch:
    features = [torch.tensor(clip.features_TNC, dtype=torch.float32) for clip, _ in chosen]
    padded = pad_prefixes([clip.prefix for clip, _ in chosen], features)
    words = torch.zeros(*padded.frame_valid_BT.shape, chosen[0][1].shape[-1])
    for row, (_, target) in enumerate(chosen):
        words[row, : len(target)] = target
    return NamingBatch(padded.features_BTNC, padded.frame_valid_BT, words)


def naming_step(spread: float, project: Callable[[Tensor], Tensor]) -> Callable[[NamingBatch], StepResult]:
    """Squared distance of frames from their words, as a share of the words' own spread."""

    def step(batch: NamingBatch) -> StepResult:
        frames_TD = project(batch.features_BTNC).mean(2)[batch.frame_valid_BT].float()
        apart = (frames_TD - batch.words_BTD[batch.frame_valid_BT]).square().sum(-1).mean() / spread
        return StepResult(apart, {"unexplained": apart})

    return step


def spread_of(targets: Sequence[Tensor]) -> float:
    """Mean squared distance of all targets from their mean."""
    return float(torch.cat(list(targets)).var(0, correction=0).sum())
