"""How the frames of a clip stand in a prompt: their tokens, what is written around them, their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from d2vlm_pipeline.model.packing import FRAME_SLOT, Prefix


class FrameLayout(Protocol):
    """What a backbone expects of a clip."""

    def prefix(self, times_s: Sequence[float]) -> Prefix:
        """Where the user's turn begins, and frames shown at these times."""
        ...


@dataclass(frozen=True)
class OneTokenFrames:
    """One token per frame and nothing between them, numbered like text (method.md §1.1)."""

    before: Sequence[int]

    def prefix(self, times_s: Sequence[float]) -> Prefix:
        """See `FrameLayout.prefix`."""
        return Prefix([*self.before, *[FRAME_SLOT] * len(times_s)])
