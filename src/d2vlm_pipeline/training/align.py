"""Alignment: teach a fresh backbone what frames show, from captions alone, before it is asked for intervals.

Three tasks share the prefix of a clip: name the words of each frame's caption from the frame's own state through the
shared embedding; caption single frames, given as evidence; caption the clip. No interval is ever a target.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import FRAME_SLOT, Branch, Clip, PackedBatch, Response, pack
from d2vlm_pipeline.model.tokens import PromptTokens, encode, prefix_ids
from d2vlm_pipeline.timeline import EVI, EVI_END, Sample, TimeBase
from d2vlm_pipeline.training.data import windowed_epoch
from d2vlm_pipeline.training.loop import StepResult

NOTHING = "nothing happens"


@dataclass(frozen=True)
class CaptionedClip:
    """A clip with a caption for each frame and one for the whole."""

    features_TNC: np.ndarray
    frame_captions: Sequence[str]
    clip_caption: str


@dataclass(frozen=True)
class AlignBatch:
    """Packed caption branches, and for every frame the distribution of its caption's tokens."""

    packed: PackedBatch
    words_BTV: Tensor


def caption_clip(sample: Sample, features_TNC: np.ndarray, timebase: TimeBase) -> CaptionedClip:
    """Captions of a densely captioned clip: what is on the screen in each frame, and the clip's story in order."""
    shown = [
        [event.caption for event in sample.events if event.start_s <= time_s < event.end_s] for time_s in timebase.times_s
    ]
    return CaptionedClip(
        features_TNC=features_TNC,
        frame_captions=[" and ".join(captions) or NOTHING for captions in shown],
        clip_caption=" ".join(f"{event.caption}." for event in sample.events),
    )


@dataclass(frozen=True)
class AlignEncoder:
    """Turns captioned clips into batches."""

    tokenizer: PreTrainedTokenizerBase
    tokens: PromptTokens
    frames_per_clip: int
    _known: dict[str, list[int]] = field(default_factory=dict)

    def _ids(self, text: str) -> list[int]:
        """Captions recur by the thousand: each is tokenised once."""
        if text not in self._known:
            self._known[text] = encode(text, self.tokenizer)
        return self._known[text]

    def batch(self, clips: Sequence[CaptionedClip], rng: random.Random) -> AlignBatch:
        """Pack the clips, each with its caption and a few of its frames' captions."""
        frames = max(len(clip.features_TNC) for clip in clips)
        words = torch.zeros(len(clips), frames, len(self.tokenizer))
        for row, clip in enumerate(clips):
            ids = [self._ids(f" {caption}") for caption in clip.frame_captions]
            frame = torch.tensor([at for at, found in enumerate(ids) for _ in found])
            token = torch.tensor([token for found in ids for token in found])
            words[row].index_put_((frame, token), torch.ones(len(token)), accumulate=True)
        words = words / words.sum(-1, keepdim=True).clamp(min=1.0)
        return AlignBatch(pack([self._clip(clip, rng) for clip in clips], self.tokens.pad), words)

    def _clip(self, clip: CaptionedClip, rng: random.Random) -> Clip:
        features = torch.from_numpy(clip.features_TNC).float()
        branches = [self._branch(f"{EVI_END} {clip.clip_caption}", given=(), frame=0)]
        for frame in self._frames(clip, rng):
            branches.append(self._branch(f"{EVI}, {clip.frame_captions[frame]}.", given=(0,), frame=frame))
        return Clip(prefix_ids(len(features), self.tokens, FRAME_SLOT), features, branches)

    def _frames(self, clip: CaptionedClip, rng: random.Random) -> list[int]:
        """Mostly frames that show something: empty ones would teach one sentence."""
        busy = [frame for frame, caption in enumerate(clip.frame_captions) if caption != NOTHING]
        frames = rng.sample(busy, min(self.frames_per_clip, len(busy)))
        return [*frames, rng.randrange(len(clip.frame_captions))]

    def _branch(self, text: str, given: Sequence[int], frame: int) -> Branch:
        ids = [*self._ids(text), self.tokens.end]
        supervised = [place not in given for place in range(len(ids))]
        evidence = [(frame, frame)] * len(given)
        response = Response(ids, supervised, list(given), evidence, torch.zeros(0, 0), [])
        return Branch([self.tokens.end, self.tokens.assistant], [], [], [response])


def align_batches(
    clips: Sequence[CaptionedClip], encoder: AlignEncoder, clips_per_step: int, seed: int
) -> Iterator[AlignBatch]:
    """Batches without end; order and frames depend on the seed and the clips alone."""
    for epoch in itertools.count():
        rng = random.Random(derive_seed(seed, "align", epoch))
        for chosen in windowed_epoch(clips, [len(clip.features_TNC) for clip in clips], clips_per_step, rng):
            yield encoder.batch(chosen, rng)


def align_step(model: D2VLM, batch: AlignBatch, frame_weight: float) -> StepResult:
    """Cross-entropy of the captions + weighted cross-entropy of every frame's words."""
    output, state = model(batch.packed)
    caption = functional.cross_entropy(output.token_logits_NV, batch.packed.token_id_N)
    valid = batch.packed.frame_valid_BT
    words = functional.cross_entropy(model.token_logits(state.frames_last_BTD[valid]), batch.words_BTV[valid])
    return StepResult(caption + frame_weight * words, {"caption": caption, "frame_words": words})
