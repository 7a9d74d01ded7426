"""Clips with encoded branches, drawn in a seeded, length-aware order that never ends."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, overload

import numpy as np
import torch

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Prefix, pack

# Batches whose clips are drawn together and sorted by length before they are cut, so that padding stays
# small.
_WINDOW = 8

_Item = TypeVar("_Item")


class Parts(Sequence[_Item], Generic[_Item]):
    """The batches of a step, each packed when it is asked for: by the worker that it falls to, if there are
    several.
    """

    def __init__(self, makers: Sequence[Callable[[], _Item]]) -> None:
        self._makers = makers

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, at: int) -> _Item: ...

    @overload
    def __getitem__(self, at: slice) -> Parts[_Item]: ...

    def __getitem__(self, at: int | slice) -> _Item | Parts[_Item]:
        return Parts(self._makers[at]) if isinstance(at, slice) else self._makers[at]()


Steps = Callable[[int], Iterator[Sequence[_Item]]]
"""From how many steps were taken to those behind them, without end: what was seen is not packed again."""


@dataclass(frozen=True)
class TrainingClip:
    """One clip and everything that can be asked about it."""

    video: str
    prefix: Prefix
    features_TNC: np.ndarray
    branches: Sequence[Branch]


def batches(
    taken: int,
    clips: Sequence[TrainingClip],
    pad_id: int,
    clips_per_step: int,
    branches_per_clip: int,
    seed: int,
    micro_batch: int | None = None,
    apart: bool = False,
    redrawn: Sequence[Sequence[TrainingClip]] = (),
) -> Iterator[Parts[PackedBatch]]:
    """Steps without end behind those ``taken``; what is in them depends on the seed and the clips alone.

    The clips of the second epoch are the first ``redrawn``, if any, and so on; then it starts over.

    A step is one batch, or as many as it takes where no more than ``micro_batch`` prefixes go together.
    Branches share the prefix of their clip, unless they are kept ``apart``, each with a prefix of its own.
    """
    sets = [clips, *redrawn]
    for epoch, seen in epochs_behind(taken, [-(-len(shown) // clips_per_step) for shown in sets]):
        rng = random.Random(derive_seed(seed, "epoch", epoch))
        shown = sets[epoch % len(sets)]
        lengths = [len(clip.features_TNC) for clip in shown]
        for number, portion in enumerate(windowed_epoch(shown, lengths, clips_per_step, rng)):
            drawn = [(clip, _draw(clip, branches_per_clip, rng)) for clip in portion]
            if number < seen:
                continue
            prefixes = [part for clip, kept in drawn for part in _prefixes(clip, kept, apart)]
            size = micro_batch or len(prefixes)
            cuts = range(0, len(prefixes), size)
            yield Parts([partial(_packed, prefixes[at : at + size], pad_id) for at in cuts])


def epochs_behind(taken: int, steps_of_sets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Number of every epoch that is not over after so many steps, and how many of its steps are.

    Epochs go through the sets in turn.
    """
    for epoch in itertools.count():
        steps = steps_of_sets[epoch % len(steps_of_sets)]
        if taken < steps:
            yield epoch, taken
        taken = max(0, taken - steps)


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


def _draw(clip: TrainingClip, most: int, rng: random.Random) -> list[int]:
    """Numbers of the branches that train behind a clip in this step."""
    count = min(most, len(clip.branches))
    return sorted(rng.sample(range(len(clip.branches)), count))


def _prefixes(
    clip: TrainingClip, kept: Sequence[int], apart: bool
) -> list[tuple[TrainingClip, Sequence[int]]]:
    """The clip with its branches, or once for each of them."""
    return [(clip, [branch]) for branch in kept] if apart else [(clip, kept)]


def _packed(prefixes: Sequence[tuple[TrainingClip, Sequence[int]]], pad_id: int) -> PackedBatch:
    return pack([_with_branches(clip, kept) for clip, kept in prefixes], pad_id)


def _with_branches(clip: TrainingClip, kept: Sequence[int]) -> Clip:
    # A copy: stored features are a read-only view of their file.
    features = torch.from_numpy(np.array(clip.features_TNC, dtype=np.float32))
    return Clip(clip.prefix, features, [clip.branches[index] for index in kept])
