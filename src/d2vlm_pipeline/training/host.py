"""Where a phase trains, and who follows it on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2vlm_pipeline.training.curve import OnPoint


@dataclass(frozen=True)
class Host:
    """One worker of a phase as seen from outside.

    Attributes:
        rank: Number of this worker.
        workers: How many there are.
        on_point: Is told every point of the curve as soon as it is made; on worker 0 alone.
    """

    rank: int = 0
    workers: int = 1
    on_point: OnPoint | None = None


ALONE = Host()
"""The only worker, which nobody follows."""
