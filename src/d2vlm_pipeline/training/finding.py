"""Finding: words of captions, read where questions stand, find the frames whose caption holds them all.

A query is a caption of the clip or some of its words, or those of another clip's caption, which then mostly
find nothing. Only similarities are trained, so the backbone ends behind the layers that they read
(`D2VLM.shallow`): a query costs a fraction of a question with its answer.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Response, pack
from d2vlm_pipeline.model.tokens import PromptTokens, encode
from d2vlm_pipeline.objectives import grounding_loss
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.data import windowed_epoch
from d2vlm_pipeline.training.negatives import content_words
from d2vlm_pipeline.training.shown import ShownClip

_WHOLE_CAPTION = 0.4  # share of queries that are a caption as it stands
_FOREIGN = 0.3  # share of queries that are taken from another clip


@dataclass(frozen=True)
class FindingEncoder:
    """Turns clips with shown captions into packed queries."""

    tokenizer: PreTrainedTokenizerBase
    tokens: PromptTokens
    queries_per_clip: int

    def batch(self, clips: Sequence[ShownClip], pool: Sequence[str], rng: random.Random) -> PackedBatch:
        """Pack the clips, each with its queries; foreign ones are drawn from the pool of captions."""
        return pack([self._clip(clip, pool, rng) for clip in clips], self.tokens.pad)

    def _clip(self, clip: ShownClip, pool: Sequence[str], rng: random.Random) -> Clip:
        own = captions_of([clip])
        words_T = [[set(content_words(caption)) for caption in captions] for captions in clip.shown]
        branches = []
        for _ in range(self.queries_per_clip):
            caption = rng.choice(pool if not own or rng.random() < _FOREIGN else own)
            text = caption if rng.random() < _WHOLE_CAPTION else _some_words(caption, rng)
            wanted = set(content_words(text))
            label_T = [float(any(wanted <= words for words in shown)) for shown in words_T]
            branches.append(self._query(text, label_T))
        return Clip(clip.prefix, torch.tensor(clip.features_TNC, dtype=torch.float32), branches)

    def _query(self, text: str, label_T: Sequence[float]) -> Branch:
        asked = [*encode(f" {text}", self.tokenizer), *self.tokens.before_answer]
        labels_KT = torch.tensor([label_T])
        found = Response([self.tokens.end], [False], [], [], labels_KT, [], query_positions=[0])
        return Branch(asked, [], [], [found])


def captions_of(clips: Sequence[ShownClip]) -> list[str]:
    """Every caption that some frame shows, sorted."""
    return sorted({caption for clip in clips for captions in clip.shown for caption in captions})


def _some_words(caption: str, rng: random.Random) -> str:
    words = content_words(caption)
    kept = sorted(rng.sample(range(len(words)), rng.randint(1, len(words))))
    return " ".join(words[place] for place in kept)


def finding_batches(
    clips: Sequence[ShownClip], encoder: FindingEncoder, clips_per_step: int, seed: int
) -> Iterator[list[PackedBatch]]:
    """Steps of one batch without end; order and queries depend on the seed and the clips alone."""
    pool = captions_of(clips)
    for epoch in itertools.count():
        rng = random.Random(derive_seed(seed, "finding", epoch))
        for chosen in windowed_epoch(clips, [len(clip.features_TNC) for clip in clips], clips_per_step, rng):
            yield [encoder.batch(chosen, pool, rng)]


def finding_step(model: D2VLM, batch: PackedBatch) -> StepResult:
    """Binary cross-entropy of every query against the frames of its clip."""
    output, state = model(batch)
    rows_M = torch.arange(len(batch.query_row_M), device=batch.query_row_M.device)
    valid_MT = state.frame_valid_BT[batch.query_clip_M]
    loss = grounding_loss(output.similarity_MT, batch.query_label_MT, valid_MT, rows_M)
    return StepResult(loss, {"finding": loss})
