"""What each frame should answer to an event."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from d2vlm_pipeline.objectives.config import SFTConfig
from d2vlm_pipeline.timeline import Interval, TimeBase


def frame_labels(intervals: Sequence[Interval], timebase: TimeBase, config: SFTConfig) -> Tensor:
    """Targets in [0, 1] of every frame for every event, float [K, T]."""
    if not intervals:
        return torch.zeros(0, len(timebase))
    if config.labels == "soft_frames":
        spans = [timebase.frames_of(interval) for interval in intervals]
        first_last = torch.tensor(spans, dtype=torch.float32)
        return soft_frame_labels(first_last, len(timebase), config.soft_base)
    edges_s = torch.tensor([*timebase.times_s, timebase.end_s], dtype=torch.float64)
    bounds_s = torch.tensor([[i.start_s, i.end_s] for i in intervals], dtype=torch.float64)
    if config.labels == "soft_seconds":
        early = (bounds_s[:, :1] - edges_s[1:]).clamp(min=0)
        late = (edges_s[:-1] - bounds_s[:, 1:]).clamp(min=0)
        return (config.soft_base ** -(early + late)).float()
    return _majority(bounds_s, edges_s)


def _majority(bounds_s: Tensor, edges_s: Tensor) -> Tensor:
    """1 where half the display span lies in the event, and at least on the frame that shares most with it."""
    shared = torch.minimum(bounds_s[:, 1:], edges_s[1:]) - torch.maximum(bounds_s[:, :1], edges_s[:-1])
    share = shared / (edges_s[1:] - edges_s[:-1])
    labels = share >= 0.5
    # An event shorter than a frame's span still has its frame: no event may be without evidence.
    labels[torch.arange(len(labels)), share.argmax(dim=1)] = True
    return labels.float()


def soft_frame_labels(first_last_K2: Tensor, frames: int, base: float) -> Tensor:
    """The official soft labels base^(−d), d = frames to [first, last] (method.md §3), float [K, T].

    A reversed interval keeps the official behaviour: distance 0 nowhere but at its two ends.
    """
    frame = torch.arange(frames, dtype=torch.float32)
    first, last = first_last_K2[:, :1], first_last_K2[:, 1:]
    outside = torch.minimum((frame - first).abs(), (frame - last).abs())
    inside = (frame >= first) & (frame <= last)
    return base ** -torch.where(inside, torch.zeros_like(outside), outside)
