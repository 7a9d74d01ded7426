"""Where a phase trains, and who follows it on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2vlm_pipeline.training.checkpoints import CheckpointPlace
    from d2vlm_pipeline.training.curve import OnPoint
    from d2vlm_pipeline.training.progress import Progress


@dataclass(frozen=True)
class Host:
    """One worker of a phase as seen from outside.

    Attributes:
        rank: Number of this worker.
        workers: How many there are.
        on_point: Is told every point of the curve as soon as it is made; on worker 0 alone.
        reported: Puts a place in front of the phase's own, which tells others of its checkpoints.
    """

    rank: int = 0
    workers: int = 1
    on_point: OnPoint | None = None
    reported: Callable[[CheckpointPlace], CheckpointPlace] | None = None

    def following(self, progress: Progress | None) -> Progress | None:
        """Checkpoints as this worker makes them."""
        if progress is None or self.reported is None:
            return progress
        return replace(progress, place=self.reported(progress.place))


ALONE = Host()
"""The only worker, which nobody follows."""
