"""What `benchmarks.score` times: two ways to the same figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Contest:
    """Two ways to the figures of the same files.

    Attributes:
        queries: how many are scored, for the table.
        ours, loops: without reading.
        same: whether both results are the same figures.
    """

    name: str
    queries: int
    ours: Callable[[], object]
    loops: Callable[[], object]
    same: Callable[[object, object], bool]
