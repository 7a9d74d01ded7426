"""Checkpoints that Ray is told of: by a pointer, since they lie where all nodes see them already."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2vlm_pipeline.training.checkpoints import CheckpointPlace, Point, Write
    from d2vlm_pipeline.training.engine import Engine

_LOG = logging.getLogger(__name__)
_POINTER = "pointer.json"


@dataclass(frozen=True)
class ReportedPlace:
    """The place of a phase's checkpoints, which says what is true, and Ray, which is told of each.

    Nothing is copied. A checkpoint that was published by workers who died before they could report it is
    newer than what Ray knows of, and it is the one to go on from.

    Attributes:
        place: where checkpoints lie.
        folder: the run's own, where Ray looks for pointers.
    """

    place: CheckpointPlace
    folder: Path

    def latest(self, engine: Engine[Any]) -> Path | None:
        """The newest that is whole; a warning where Ray knows of a newer one."""
        newest = self.place.latest(engine)
        told = _told()
        if told is not None and (newest is None or newest.name < told.name) and engine.rank == 0:
            where = "starting over" if newest is None else f"going on from {newest.name}"
            _LOG.warning("%s was reported, but cannot be gone on from; %s", told, where)
        return newest

    def publish(self, engine: Engine[Any], step: int, points: Sequence[Point], write: Write) -> str:
        """Publish it, then tell Ray: all workers at once, the first one with the pointer."""
        from ray.train import Checkpoint, report
        from ray.train.v2.api.report_config import CheckpointUploadMode

        path = self.place.publish(engine, step, points, write)
        pointer = None
        if engine.rank == 0:
            # Of its own: workers that went back behind a step report it again, and Ray removes the first.
            home = self.folder / f"reported-{step:08d}-{time.time_ns()}"
            home.mkdir()
            (home / _POINTER).write_text(json.dumps({"checkpoint": path}), encoding="utf-8")
            pointer = Checkpoint.from_directory(home)
        mode = CheckpointUploadMode.NO_UPLOAD
        report({"step": step}, checkpoint=pointer, checkpoint_upload_mode=mode)
        return path


def _told() -> Path | None:
    """What Ray was told of last."""
    from ray.train import get_checkpoint

    known = get_checkpoint()
    if known is None:
        return None
    return Path(json.loads((Path(known.path) / _POINTER).read_text(encoding="utf-8"))["checkpoint"])
