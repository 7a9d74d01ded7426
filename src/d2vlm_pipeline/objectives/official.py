"""The official code's way from intervals to frames, for `compat: official` (method.md §1.4, §3, §4.1, §10).

There a second is a frame, so an interval is a pair of frame positions, which need be neither whole, nor in
order, nor within the clip. Pooling repairs such a pair; labels take it as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from d2vlm_pipeline.objectives.labels import soft_frame_labels

FramePair = tuple[float, float]


def official_spans(pairs: Sequence[FramePair], frames: int) -> list[tuple[int, int]]:
    """First and last frame whose mean an `<evi>` takes on.

    Rounded half to even, clamped to 0 … frames − 1, swapped where reversed; both ends count.
    """
    last = frames - 1
    ends = [tuple(min(max(round(position), 0), last) for position in pair) for pair in pairs]
    return [(min(pair), max(pair)) for pair in ends]


def official_labels(pairs: Sequence[FramePair], frames: int, base: float, rounded: bool) -> Tensor:
    """Soft labels base^(−distance), float [K, T], of pairs neither clamped nor swapped.

    The supervised loss rounds the pairs (half to even), the likelihood of a preference does not.
    """
    bounds = [[round(position) if rounded else position for position in pair] for pair in pairs]
    return soft_frame_labels(torch.tensor(bounds, dtype=torch.float32).reshape(-1, 2), frames, base)
