"""Prompts of ready video-language models: a frame is a grid of tokens, placed by time, row and column.

Text advances all three axes together. A grid's tokens count rows and columns from where the text before it
ended, and what follows goes on behind the largest position of any axis: the scheme that these models were
trained with (Qwen2-VL, arXiv 2409.12191 §2.1). transformers from 5.3 to at least 5.23 lets text behind a
video of Qwen2.5-VL go on behind its rows and columns alone, as if it took no time (its issue 45381 shows what
5.2 computed); for shorter clips than the grid is wide, and for Qwen3-VL, the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from d2vlm_pipeline.model.packing import FRAME_SLOT, Prefix

# Share of a position by which a frame may come early and still be given it: the frame nearest to a time of
# the sampling grid may be shown a few milliseconds before it.
_EARLY = 0.1


@dataclass(frozen=True)
class _GridLayout:
    """Frames as grids of tokens between two tokens.

    Attributes:
        before: where the user's turn begins.
        start: token before what is shown.
        end: token behind it.
        grid: rows and columns of a frame's tokens.
    """

    before: Sequence[int]
    start: int
    end: int
    grid: int


@dataclass(frozen=True)
class VideoLayout(_GridLayout):
    """Qwen2.5-VL: all frames between one pair of tokens, with as many temporal positions as time has passed.

    ``positions_per_s`` is how many a second takes.
    """

    positions_per_s: float

    def prefix(self, times_s: Sequence[float]) -> Prefix:
        """See `FrameLayout.prefix`."""
        written = _Written()
        written.text([*self.before, self.start])
        written.frames([math.floor(at_s * self.positions_per_s + _EARLY) for at_s in times_s], self.grid)
        written.text([self.end])
        return written.prefix()


@dataclass(frozen=True)
class TimedLayout(_GridLayout):
    """Qwen3-VL: each frame stands behind its time as text, between a pair of tokens of its own.

    ``encode`` turns text into token ids.
    """

    encode: Callable[[str], Sequence[int]] = field(compare=False)

    def prefix(self, times_s: Sequence[float]) -> Prefix:
        """See `FrameLayout.prefix`."""
        written = _Written()
        written.text(self.before)
        for at_s in times_s:
            written.text([*self.encode(f"<{at_s:.1f} seconds>"), self.start])
            written.frames([0], self.grid)
            written.text([self.end])
        return written.prefix()


class _Written:
    """A prompt as far as it is written: tokens, and their positions in time, row and column."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._positions: list[tuple[int, int, int]] = []
        self._next = 0

    def text(self, ids: Sequence[int]) -> None:
        """Tokens, one position each."""
        self._ids += ids
        self._positions += [(at, at, at) for at in range(self._next, self._next + len(ids))]
        self._next += len(ids)

    def frames(self, times: Sequence[int], grid: int) -> None:
        """Frames of ``grid²`` tokens at temporal positions counted from here."""
        begin = self._next
        for time in times:
            self._ids += [FRAME_SLOT] * grid**2
            self._positions += [
                (begin + time, begin + row, begin + column) for row in range(grid) for column in range(grid)
            ]
        self._next = begin + max(grid, 1 + max(times))

    def prefix(self) -> Prefix:
        """All of it."""
        return Prefix(self._ids, list(zip(*self._positions, strict=True)))
