"""Finding: words of captions, read where questions stand, find the frames whose caption holds them all.

A pretrained model's states tell apart what was read, and, behind a projector that names frames, what was
seen; only where in a state it stands has to be learned. So the model reads every clip with a few queries, no
further than the layers that evidence reads (`D2VLM.shallow`), once; the query head and the key head are
trained on the states that it leaves behind. A query is a caption of the clip or some of its words, or those
of another clip's caption, which then mostly find nothing.

Similarities alone teach which frames show anything and stay there: queries and keys also have to say what was
read and seen, in one space, that of the words' own embeddings.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from d2vlm_pipeline.artifacts import derive_seed, track
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.evidence import similarity
from d2vlm_pipeline.model.heads import MatchHead
from d2vlm_pipeline.model.packing import Branch, Clip, Response, pack
from d2vlm_pipeline.model.tokens import PromptTokens, encode
from d2vlm_pipeline.objectives import grounding_loss
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.data import windowed_epoch
from d2vlm_pipeline.training.naming import WordSpace, unexplained
from d2vlm_pipeline.training.negatives import content_words
from d2vlm_pipeline.training.shown import ShownClip, captions_of

_WHOLE_CAPTION = 0.4  # share of queries that are a caption as it stands
_FOREIGN = 0.3  # share of queries that are taken from another clip


@dataclass(frozen=True)
class ReadClip:
    """States at the match layer of T frames and M queries, what they are of, and who shows what."""

    frames_TD: Tensor
    queries_MD: Tensor
    seen_TD: Tensor
    read_MD: Tensor
    label_MT: Tensor


@dataclass(frozen=True)
class FindingBatch:
    """Several read clips, frames padded on the right, queries one after the other."""

    frames_BTD: Tensor
    frame_valid_BT: Tensor
    queries_MD: Tensor
    query_clip_M: Tensor
    seen_BTD: Tensor
    read_MD: Tensor
    label_MT: Tensor


@torch.no_grad()
def read_clips(
    model: D2VLM,
    tokens: PromptTokens,
    clips: Sequence[ShownClip],
    space: WordSpace,
    queries_per_clip: int,
    seed: int,
) -> list[ReadClip]:
    """Let the model read every clip with so many queries; which ones depends on seed and clips alone."""
    rng = random.Random(derive_seed(seed, "finding", "queries"))
    pool = captions_of(clips)
    found = []
    model.eval()
    with model.shallow():
        for clip in track(clips, "read captions", unit="clip"):
            asked = [_query_text(captions_of([clip]), pool, rng) for _ in range(queries_per_clip)]
            label_MT = torch.tensor([_labels(text, clip) for text in asked])
            queries = [
                _query(text, label_T, space, tokens) for text, label_T in zip(asked, label_MT, strict=True)
            ]
            features = torch.tensor(clip.features_TNC, dtype=torch.float32)
            output, state = model(pack([Clip(clip.prefix, features, queries)], tokens.pad))
            read = torch.stack([space.of(text) for text in asked])
            frames = state.frames_match_BTD[0]
            found.append(ReadClip(frames, output.states_MD, space.frames(clip), read, label_MT))
    return found


def _query_text(own: Sequence[str], pool: Sequence[str], rng: random.Random) -> str:
    caption = rng.choice(pool if not own or rng.random() < _FOREIGN else own)
    if rng.random() < _WHOLE_CAPTION:
        return caption
    words = content_words(caption)
    kept = sorted(rng.sample(range(len(words)), rng.randint(1, len(words))))
    return " ".join(words[place] for place in kept)


def _labels(text: str, clip: ShownClip) -> list[float]:
    """Per frame, whether one caption of it holds all content words of the text."""
    wanted = set(content_words(text))
    return [
        float(any(wanted <= set(content_words(caption)) for caption in captions)) for captions in clip.shown
    ]


def _query(text: str, label_T: Tensor, space: WordSpace, tokens: PromptTokens) -> Branch:
    asked = [*encode(f" {text}", space.tokenizer), *tokens.before_answer]
    found = Response([tokens.end], [False], [], [], label_T[None], [], query_positions=[0])
    return Branch(asked, [], [], [found])


@torch.no_grad()
def standardise(head: MatchHead, states_ND: Tensor) -> None:
    """Let the head's norm give every channel mean 0 and spread 1 over these states.

    What tells states apart is small beside what they all have in common.
    """
    norm = head.get_submodule("0")
    assert isinstance(norm, nn.LayerNorm)
    plain_ND = nn.functional.layer_norm(states_ND, norm.normalized_shape, eps=norm.eps)
    spread_D = plain_ND.std(0).clamp(min=1e-4)
    norm.weight.copy_(1.0 / spread_D)
    norm.bias.copy_(-plain_ND.mean(0) / spread_D)


def finding_batches(
    clips: Sequence[ReadClip], clips_per_step: int, seed: int
) -> Iterator[list[FindingBatch]]:
    """Steps of one batch without end; their order depends on the seed and the clips alone."""
    lengths = [len(clip.frames_TD) for clip in clips]
    for epoch in itertools.count():
        rng = random.Random(derive_seed(seed, "finding", epoch))
        for chosen in windowed_epoch(clips, lengths, clips_per_step, rng):
            yield [_batch(chosen)]


def _batch(clips: Sequence[ReadClip]) -> FindingBatch:
    lengths_B = torch.tensor([len(clip.frames_TD) for clip in clips])
    frames = int(lengths_B.max())
    labels = [
        nn.functional.pad(clip.label_MT, (0, frames - clip.label_MT.shape[1])) for clip in clips
    ]
    return FindingBatch(
        frames_BTD=pad_sequence([clip.frames_TD for clip in clips], batch_first=True),
        frame_valid_BT=torch.arange(frames) < lengths_B[:, None],
        queries_MD=torch.cat([clip.queries_MD for clip in clips]),
        query_clip_M=torch.repeat_interleave(torch.tensor([len(clip.queries_MD) for clip in clips])),
        seen_BTD=pad_sequence([clip.seen_TD for clip in clips], batch_first=True),
        read_MD=torch.cat([clip.read_MD for clip in clips]),
        label_MT=torch.cat(labels),
    )


def finding_step(query_head: nn.Module, key_head: nn.Module, batch: FindingBatch) -> StepResult:
    """Binary cross-entropy of every query against the frames of its clip + distances from the words."""
    queries_MD, keys_BTD = query_head(batch.queries_MD), key_head(batch.frames_BTD)
    valid = batch.frame_valid_BT
    rows_M = torch.arange(len(queries_MD))
    found_MT = similarity(queries_MD, keys_BTD, batch.query_clip_M)
    finding = grounding_loss(found_MT, batch.label_MT, valid[batch.query_clip_M], rows_M)
    seen = unexplained(keys_BTD[valid], batch.seen_BTD[valid])
    read = unexplained(queries_MD, batch.read_MD)
    return StepResult(finding + seen + read, {"finding": finding, "seen": seen, "read": read})
