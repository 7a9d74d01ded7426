"""Naming: a fresh projector learns to say in a pretrained model's own embeddings what a frame shows.

The target of a frame is the mean input embedding of its captions' words. The language model does not run:
a step costs a thousandth of one that goes through it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import pad_prefixes
from d2vlm_pipeline.model.tokens import encode
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.data import Parts, epochs_behind, windowed_epoch
from d2vlm_pipeline.training.shown import ShownClip, in_words


@dataclass(frozen=True)
class NamingBatch:
    """Frames of B clips and the mean embedding of the words for each."""

    features_BTNC: Tensor
    frame_valid_BT: Tensor
    words_BTD: Tensor


@dataclass(frozen=True)
class WordSpace:
    """Texts as points: the mean input embedding of their words."""

    tokenizer: PreTrainedTokenizerBase
    table_VD: Tensor
    _known: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_model(cls, model: D2VLM, tokenizer: PreTrainedTokenizerBase) -> WordSpace:
        """The space in which frames are projected: embeddings as the model reads them."""
        with torch.no_grad():
            table_VD = model.embed(torch.arange(len(tokenizer), device=model.device)).float().cpu()
        return cls(tokenizer, table_VD)

    def of(self, text: str) -> Tensor:
        """Where a text lies, [D]."""
        if text not in self._known:
            self._known[text] = self.table_VD[encode(f" {text}", self.tokenizer)].mean(0)
        return self._known[text]

    def frames(self, clip: ShownClip) -> Tensor:
        """Where a clip's frames lie by what they show, [T, D]."""
        return torch.stack([self.of(in_words(captions)) for captions in clip.shown])


def unexplained(found_ND: Tensor, wanted_ND: Tensor) -> Tensor:
    """Mean squared distance from what was wanted, as a share of its own spread."""
    spread = (wanted_ND - wanted_ND.mean(0)).square().sum(-1).mean()
    return (found_ND.float() - wanted_ND).square().sum(-1).mean() / spread


def naming_batches(
    taken: int, clips: Sequence[ShownClip], targets: Sequence[Tensor], clips_per_step: int, seed: int
) -> Iterator[Parts[NamingBatch]]:
    """Steps of one batch without end behind those ``taken``; their order depends on seed and clips alone."""
    pairs = list(zip(clips, targets, strict=True))
    lengths = [len(target) for target in targets]
    for epoch, seen in epochs_behind(taken, [-(-len(clips) // clips_per_step)]):
        rng = random.Random(derive_seed(seed, "naming", epoch))
        for chosen in windowed_epoch(pairs, lengths, clips_per_step, rng)[seen:]:
            yield Parts([partial(_batch, chosen)])


def _batch(chosen: Sequence[tuple[ShownClip, Tensor]]) -> NamingBatch:
    features = [torch.tensor(clip.features_TNC, dtype=torch.float32) for clip, _ in chosen]
    padded = pad_prefixes([clip.prefix for clip, _ in chosen], features)
    words = torch.zeros(*padded.frame_valid_BT.shape, chosen[0][1].shape[-1])
    for row, (_, target) in enumerate(chosen):
        words[row, : len(target)] = target
    return NamingBatch(padded.features_BTNC, padded.frame_valid_BT, words)


def naming_step(project: Callable[[Tensor], Tensor], batch: NamingBatch) -> StepResult:
    """Distance of frames from their words."""
    frames_TD = project(batch.features_BTNC).mean(2)[batch.frame_valid_BT]
    apart = unexplained(frames_TD, batch.words_BTD[batch.frame_valid_BT])
    return StepResult(apart, {"unexplained": apart})
