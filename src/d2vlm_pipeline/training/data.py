"""Clips with encoded branches, drawn in a seeded, length-aware order that never ends."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Prefix, pack

# Batches whose clips are drawn together and sorted by length before they are cut, so that padding stays
# small.
_WINDOW = 8

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class TrainingClip:
    """One clip and everything that can be asked about it."""

    video: str
    prefix: Prefix
    features_TNC: np.ndarray
    branches: Sequence[Branch]


def batches(
    clips: Sequence[TrainingClip],
    pad_id: int,
    clips_per_step: int,
    branches_per_clip: int,
    seed: int,
    micro_batch: int | None = None,
    apart: bool = False,
    redrawn: Sequence[Sequence[TrainingClip]] = (),
) -> Iterator[list[PackedBatch]]:
    """Steps without end, packed; what is in them depends on the seed and the clips alone.

    The clips of the second epoch are the first ``redrawn``, if any, and so on; then it starts over.

    A step is one batch, or as many as it takes where no more than ``micro_batch`` prefixes go together.
    Branches share the prefix of their clip, unless they are kept ``apart``, each with a prefix of its own.
    """
    sets = [clips, *redrawn]
    for epoch in itertools.count():
        rng = random.Random(derive_seed(seed, "epoch", epoch))
        shown = sets[epoch % len(sets)]
        lengths = [len(clip.features_TNC) for clip in shown]
        for chosen in windowed_epoch(shown, lengths, clips_per_step, rng):
            drawn = [_draw(clip, branches_per_clip, rng) for clip in chosen]
            parts = [part for clip in drawn for part in (_parts(clip) if apart else [clip])]
            size = micro_batch or len(parts)
            yield [pack(parts[at : at + size], pad_id) for at in range(0, len(parts), size)]


def windowed_epoch(
    items: Sequence[_Item], lengths: Sequence[int], size: int, rng: random.Random
) -> list[list[_Item]]:
    """All items once, in random portions of ``size`` whose lengths are alike."""
    order = rng.sample(range(len(items)), len(items))
    portions: list[list[int]] = []
    for start in range(0, len(order), size * _WINDOW):
        window = sorted(order[start : start + size * _WINDOW], key=lambda index: lengths[index])
        portions.extend(window[at : at + size] for at in range(0, len(window), size))
    rng.shuffle(portions)
    return [[items[index] for index in portion] for portion in portions]


def _draw(clip: TrainingClip, most: int, rng: random.Random) -> Clip:
    count = min(most, len(clip.branches))
    kept = sorted(rng.sample(range(len(clip.branches)), count))
    # A copy: stored features are a read-only view of their file.
    features = torch.from_numpy(np.array(clip.features_TNC, dtype=np.float32))
    return Clip(clip.prefix, features, [clip.branches[index] for index in kept])


def _parts(clip: Clip) -> list[Clip]:
    """The clip once for each of its branches."""
    return [replace(clip, branches=[branch]) for branch in clip.branches]
