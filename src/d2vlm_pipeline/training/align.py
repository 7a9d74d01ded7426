"""Alignment: teach a fresh backbone what frames show, from captions alone, before it is asked for intervals.

Six tasks share the prefix of a clip. Two meet in the shared embedding: each frame's state, and the state
at the end of a caption, name the words of that caption, so that what is seen and what is read come to lie
in one space. One matches captions with frames drawn from the batch, a sigmoid per pair. Two are captioning:
of single frames, given as evidence, and of the clip. One chooses, by its letter, the caption or the word of
a frame or of a text. No interval is ever a target.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.exact import exactly
from d2vlm_pipeline.model.layout import FrameLayout
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Prefix, Response, pack
from d2vlm_pipeline.model.tokens import PromptTokens, encode
from d2vlm_pipeline.timeline import EVI, EVI_END, Sample, TimeBase
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.data import Parts, epochs_behind, windowed_epoch
from d2vlm_pipeline.training.shown import NOTHING, captions_shown, in_words

_LETTERS = "ABCD"
_CHOICES = 3  # choice branches of a clip in one step


@dataclass(frozen=True)
class CaptionedClip:
    """A clip with a caption for each frame and one for the whole."""

    features_TNC: np.ndarray
    prefix: Prefix
    frame_captions: Sequence[str]
    clip_caption: str


@dataclass(frozen=True)
class AlignBatch:
    """Packed caption branches, and what every frame shows and every caption read says."""

    packed: PackedBatch
    words_BTV: Tensor
    read_words_MV: Tensor
    read_frame_M: Tensor  # the frame that each caption read describes, as clip · T + frame
    same_caption_MM: Tensor

    def to(self, device: torch.device) -> AlignBatch:
        """The same batch on another device."""
        return AlignBatch(
            self.packed.to(device),
            self.words_BTV.to(device),
            self.read_words_MV.to(device),
            self.read_frame_M.to(device),
            self.same_caption_MM.to(device),
        )


def caption_clip(
    sample: Sample, features_TNC: np.ndarray, timebase: TimeBase, layout: FrameLayout
) -> CaptionedClip:
    """Captions of a densely captioned clip: what each frame shows, and the story in order."""
    return CaptionedClip(
        features_TNC=features_TNC,
        prefix=layout.prefix(timebase.times_s),
        frame_captions=[in_words(captions) for captions in captions_shown(sample, timebase)],
        clip_caption=" ".join(f"{event.caption}." for event in sample.events),
    )


@dataclass(frozen=True)
class DrawnClip:
    """A clip with the frames whose captions train in a step, and its branches, yet to be tokenised."""

    clip: CaptionedClip
    frames: Sequence[int]
    branches: Sequence[Callable[[], Branch]]


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

    def draw(self, clips: Sequence[CaptionedClip], rng: random.Random) -> list[DrawnClip]:
        """What is asked about the clips of a step: their captions, and a few of their frames'."""
        shown = [self._frames(clip, rng) for clip in clips]
        pool = sorted({caption for clip in clips for caption in clip.frame_captions if _is_plain(caption)})
        return [
            DrawnClip(clip, at_frames, self._drawn(clip, at_frames, pool, rng))
            for clip, at_frames in zip(clips, shown, strict=True)
        ]

    def batch(self, drawn: Sequence[DrawnClip]) -> AlignBatch:
        """Pack the clips of a step."""
        frames = max(len(each.clip.features_TNC) for each in drawn)
        words = torch.zeros(len(drawn), frames, len(self.tokenizer))
        for row, each in enumerate(drawn):
            ids = [self._ids(f" {caption}") for caption in each.clip.frame_captions]
            frame = torch.tensor([at for at, found in enumerate(ids) for _ in found])
            token = torch.tensor([token for found in ids for token in found])
            words[row].index_put_((frame, token), torch.ones(len(token)), accumulate=True)
        captions = [each.clip.frame_captions[at] for each in drawn for at in each.frames]
        read = torch.zeros(len(captions), len(self.tokenizer))
        for row, caption in enumerate(captions):
            read[row].index_add_(
                0, torch.tensor(self._ids(f" {caption}")), torch.ones(len(self._ids(f" {caption}")))
            )
        packed = pack([self._clip(each) for each in drawn], self.tokens.pad)
        rows = torch.tensor([row * frames + at for row, each in enumerate(drawn) for at in each.frames])
        same = torch.tensor([[left == right for right in captions] for left in captions], dtype=torch.float32)
        return AlignBatch(packed, _normalised(words), _normalised(read), rows, same)

    def _clip(self, drawn: DrawnClip) -> Clip:
        features = torch.from_numpy(np.array(drawn.clip.features_TNC, dtype=np.float32))
        branches = [make() for make in drawn.branches]
        # Nothing is asked: a frame that knew its caption would match it unseen.
        return Clip(drawn.clip.prefix, features, branches, asked=self.tokens.before_answer)

    def _drawn(
        self, clip: CaptionedClip, frames: Sequence[int], pool: Sequence[str], rng: random.Random
    ) -> list[Callable[[], Branch]]:
        """The branches of a clip, yet to be tokenised."""
        branches = [partial(self._branch, f"{EVI_END} {clip.clip_caption}", given=(), frame=0)]
        for frame in frames:
            caption = clip.frame_captions[frame]
            branches.append(partial(self._branch, f"{EVI}, {caption}.", given=(0,), frame=frame))
            branches.append(partial(self._reading, caption, len(clip.features_TNC)))
        plain = [frame for frame in frames if _is_plain(clip.frame_captions[frame])]
        for frame in plain[:_CHOICES]:
            branches.append(self._choosing(clip.frame_captions[frame], frame, pool, rng))
            branches.append(self._choosing(rng.choice(pool), None, pool, rng))
        return list(branches)

    def _frames(self, clip: CaptionedClip, rng: random.Random) -> list[int]:
        """Mostly frames that show something: empty ones would teach one sentence."""
        busy = [frame for frame, caption in enumerate(clip.frame_captions) if caption != NOTHING]
        frames = rng.sample(busy, min(self.frames_per_clip, len(busy)))
        return [*frames, rng.randrange(len(clip.frame_captions))]

    def _branch(self, text: str, given: Sequence[int], frame: int, asked: str = "") -> Branch:
        ids = [*self._ids(text), self.tokens.end]
        supervised = [place not in given for place in range(len(ids))]
        evidence = [(frame, frame)] * len(given)
        response = Response(ids, supervised, list(given), evidence, torch.zeros(0, 0), [], query_positions=[])
        return Branch([*encode(asked, self.tokenizer), *self.tokens.before_answer], [], [], [response])

    def _choosing(
        self, caption: str, frame: int | None, pool: Sequence[str], rng: random.Random
    ) -> partial[Branch]:
        """Options behind letters; the answer is the right one's letter with its words.

        Which one is right is seen in a given frame, or read: then the words stand before the options.
        """
        words = caption.split()
        place = rng.randrange(1, len(words)) if len(words) > 1 and rng.random() < 0.7 else None
        right = _option(caption, place)
        wrong = sorted({_option(other, place) for other in pool} - {right, ""})
        options = [right, *rng.sample(wrong, min(3, len(wrong)))]
        rng.shuffle(options)
        asked = " ".join(f"({letter}) {option}" for letter, option in zip(_LETTERS, options, strict=False))
        letter = _LETTERS[options.index(right)]
        answer = f"{EVI_END}({letter}) {right}."
        if frame is None:
            return partial(self._branch, answer, given=(), frame=0, asked=f" {right}? {asked}")
        return partial(self._branch, f"{EVI}{answer}", given=(0,), frame=frame, asked=f" {asked}")

    def _reading(self, caption: str, frames: int) -> Branch:
        """A caption where questions stand; the state at its end is a query without a target."""
        asked = [*self._ids(f" {caption}"), *self.tokens.before_answer]
        query = Response([self.tokens.end], [False], [0], [(0, 0)], torch.zeros(1, frames), [])
        return Branch(asked, [], [], [query])


def align_batches(
    taken: int, clips: Sequence[CaptionedClip], encoder: AlignEncoder, clips_per_step: int, seed: int
) -> Iterator[Parts[AlignBatch]]:
    """Steps of one batch without end behind those ``taken``; seed and clips decide their order and frames."""
    lengths = [len(clip.features_TNC) for clip in clips]
    for epoch, seen in epochs_behind(taken, [-(-len(clips) // clips_per_step)]):
        rng = random.Random(derive_seed(seed, "align", epoch))
        for number, chosen in enumerate(windowed_epoch(clips, lengths, clips_per_step, rng)):
            drawn = encoder.draw(chosen, rng)
            if number >= seen:
                yield Parts([partial(encoder.batch, drawn)])


def align_step(model: D2VLM, batch: AlignBatch, word_weight: float, match_weight: float) -> StepResult:
    """Cross-entropy of the captions + weighted that of the words seen and read + weighted matching."""
    output, state = model(batch.packed)
    caption = functional.cross_entropy(output.token_logits_NV, batch.packed.token_id_N)
    valid = batch.packed.frame_valid_BT
    seen = naming_loss(model.words_of(state.frames_match_BTD[valid]), batch.words_BTV[valid])
    read = naming_loss(model.words_of(output.states_MD), batch.read_words_MV)
    match = matching_loss(
        output.queries_MD, state.keys_BTD.flatten(0, 1)[batch.read_frame_M], batch.same_caption_MM
    )
    figures = {"caption": caption, "seen_words": seen, "read_words": read, "match": match}
    return StepResult(caption + word_weight * (seen + read) + match_weight * match, figures)


def naming_loss(logits_NV: Tensor, words_NW: Tensor) -> Tensor:
    """Cross-entropy over the W words of the tokenizer; the backbone's table may be longer (V rows)."""
    return functional.cross_entropy(logits_NV[:, : words_NW.shape[1]], words_NW)


def matching_loss(queries_MD: Tensor, keys_MD: Tensor, same_MM: Tensor) -> Tensor:
    """Binary cross-entropy of every caption against every frame, both outcomes weighing the same."""
    with exactly(queries_MD):
        logits = queries_MD @ keys_MD.T / math.sqrt(queries_MD.shape[-1])
    per_pair = functional.binary_cross_entropy_with_logits(logits, same_MM, reduction="none")
    matching = (per_pair * same_MM).sum() / same_MM.sum()
    apart = (per_pair * (1.0 - same_MM)).sum() / (1.0 - same_MM).sum().clamp(min=1.0)
    return 0.5 * (matching + apart)


def _is_plain(caption: str) -> bool:
    """One event, so that a word or caption of it is the one right choice."""
    return caption != NOTHING and " and " not in caption


def _option(caption: str, place: int | None) -> str:
    """The whole caption, or its word at a place (empty beyond its end)."""
    words = caption.split()
    if place is None:
        return caption
    return words[place] if place < len(words) else ""


def _normalised(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True).clamp(min=1.0)
