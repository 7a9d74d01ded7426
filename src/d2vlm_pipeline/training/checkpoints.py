"""Checkpoints of a phase: whole or not there, never of another job, the last few and the best.

<folder>/<phase>/
step-00000100/
MANIFEST.json             digests, written last
checkpoint.json           of which job, at which step, the curve so far
worker-0.safetensors      random states and what is not yet a point of the curve, one per worker
engine/                   weights that train, optimiser, schedule
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field, PositiveInt, ValidationError

from d2vlm_pipeline.artifacts import (
    StrictModel,
    UserError,
    atomic_directory,
    canonical_json,
    new_temporary,
    sweep_leftovers,
    verify,
)

if TYPE_CHECKING:
    from d2vlm_pipeline.training.engine import Engine

_LOG = logging.getLogger(__name__)
_RECORD = "checkpoint.json"
_SCHEMA: Literal[1] = 1

Point = dict[str, float]


class BestConfig(StrictModel):
    """Which checkpoint is the best: by a figure of the curve's last point before it."""

    figure: str = "loss"
    goal: Literal["lowest", "highest"] = "lowest"


class CheckpointConfig(StrictModel):
    """Where checkpoints of a phase lie, how many steps apart, and which of them are kept.

    Attributes:
        folder: Every phase has a folder of its own below it; workers on several machines must all see it.
        every_steps: A signal makes one at once, and so does the end.
        keep_last: So many of the newest stay; a damaged one is skipped for the one before.
        keep_best: Keeps one more, by a figure of the curve.
    """

    folder: str = Field(min_length=1)
    every_steps: PositiveInt = 100
    keep_last: PositiveInt = 2
    keep_best: BestConfig | None = None

    def below(self, name: str) -> CheckpointConfig:
        """The same in a folder of that name: for a phase that takes place twice."""
        return self.model_copy(update={"folder": str(Path(self.folder) / name)})


class Job(StrictModel):
    """What a checkpoint belongs to: the same figures, the same run, to the bit.

    Attributes:
        configuration: Digest of the phase's, without what moves no weight.
        start_model: Digest of the weights that it started from.
        examples: Digest of the encoded examples.
        code: Digest of the code that trains.
        workers: How many share a step.
    """

    configuration: str
    start_model: str
    examples: str
    code: str
    workers: PositiveInt

    def differences(self, other: Job) -> list[str]:
        """What the other one has otherwise, in words."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [name.replace("_", " ") for name in mine if mine[name] != theirs[name]]


class CheckpointRecord(StrictModel):
    """Whose checkpoint it is, how many steps were taken, and the points logged until then."""

    schema_version: Literal[1] = _SCHEMA
    phase: str
    job: Job
    step: int = Field(ge=1)
    points: list[Point]


Write = Callable[[Path], None]
"""Every worker writes its files into the folder of a checkpoint."""


class CheckpointPlace(Protocol):
    """Where the checkpoints of one job lie. All workers call it at the same points."""

    def latest(self, engine: Engine[Any]) -> Path | None:
        """Folder of the newest checkpoint of this job that is as it was written."""
        ...

    def publish(self, engine: Engine[Any], step: int, points: Sequence[Point], write: Write) -> str:
        """Make one of what the workers write; all of it appears, or nothing. Returns its name for people."""
        ...


def read_record(folder: Path) -> CheckpointRecord:
    """Whose checkpoint a folder holds.

    Raises:
        UserError: there is none, or it is of another version.
    """
    path = folder / _RECORD
    try:
        return CheckpointRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except ValidationError:
        raise UserError(f"{path} cannot be read by this version") from None


@dataclass(frozen=True)
class FolderPlace:
    """Checkpoints of a phase in a folder that all workers see; the first worker keeps order in it."""

    phase: str
    job: Job
    config: CheckpointConfig

    @property
    def folder(self) -> Path:
        return Path(self.config.folder) / self.phase

    def latest(self, engine: Engine[Any]) -> Path | None:
        """The newest one that is whole; others are named in warnings, and stay until the next is written."""
        found = self._newest() if engine.rank == 0 else None
        chosen: Path | None = engine.gather(found)[0]
        return chosen

    def publish(self, engine: Engine[Any], step: int, points: Sequence[Point], write: Write) -> str:
        """Written aside, sealed with digests, renamed; then what need not be kept is removed."""
        path = self.folder / f"step-{step:08d}"
        if engine.rank == 0:
            record = CheckpointRecord(phase=self.phase, job=self.job, step=step, points=list(points))
            with atomic_directory(path) as temporary:
                engine.gather(temporary)
                (temporary / _RECORD).write_text(canonical_json(record) + "\n", encoding="utf-8")
                write(temporary)
                engine.gather(None)  # all have written
            self._tidy(step)
        else:
            write(engine.gather(None)[0])
            engine.gather(None)
        engine.gather(None)  # it is there
        return str(path)

    def _newest(self) -> Path | None:
        if not self.folder.is_dir():
            return None
        sweep_leftovers(self.folder)
        foreign: dict[str, list[str]] = {}
        found = None
        for path in reversed(self._all()):
            differences = self._differences(path)
            if differences == []:
                found = path
                break
            if differences:
                foreign[path.name] = differences
        self._warn_of(foreign)
        return found

    def _all(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir())

    def _differences(self, path: Path) -> list[str] | None:
        """What tells a checkpoint's job from this one; None where it is damaged, which is said."""
        try:
            verify(path)
            return self.job.differences(read_record(path).job)
        except UserError as error:
            reason = str(error).split(";")[0]
            _LOG.warning("%s: checkpoint %s is damaged and skipped: %s", self.phase, path.name, reason)
            return None

    def _warn_of(self, foreign: dict[str, list[str]]) -> None:
        if foreign:
            names, differences = sorted(foreign), ", ".join(next(iter(foreign.values())))
            _LOG.warning(
                "%s: %s in %s: of another job (other %s), not gone on from, and removed when this job writes "
                "its first checkpoint",
                self.phase, ", ".join(names), self.folder, differences,
            )  # fmt: skip

    def _tidy(self, step: int) -> None:
        """Remove what is neither among the last ones of this job, up to the step, nor the best of them."""
        own: dict[Path, CheckpointRecord] = {}
        foreign = []
        for path in self._all():
            record = self._own_record(path)
            if record is None or record.step > step:
                foreign.append(path)
            else:
                own[path] = record
        kept = {*list(own)[-self.config.keep_last :], *self._best(own)}
        if foreign:
            names = ", ".join(path.name for path in foreign)
            _LOG.info("%s: removed checkpoints that are damaged or of another job: %s", self.phase, names)
        for path in [*foreign, *(path for path in own if path not in kept)]:
            _remove(path)

    def _own_record(self, path: Path) -> CheckpointRecord | None:
        try:
            record = read_record(path)
        except UserError:
            return None
        return record if record.job == self.job else None

    def _best(self, own: dict[Path, CheckpointRecord]) -> list[Path]:
        best = self.config.keep_best
        logged = {path: record.points[-1] for path, record in own.items() if record.points}
        if best is None or not logged:
            return []
        value = partial(_figure, logged, best.figure)
        return [min(logged, key=value) if best.goal == "lowest" else max(logged, key=value)]


def _figure(points: dict[Path, Point], name: str, path: Path) -> float:
    if name not in points[path]:
        raise UserError(
            f"checkpoints.keep_best.figure {name}: the curve has none of that name; set it to one of "
            f"{', '.join(sorted(points[path]))}"
        )
    return points[path][name]


def _remove(path: Path) -> None:
    """Out of the way first: what is half removed has no name of a checkpoint."""
    retired = new_temporary(path)
    os.replace(path, retired)
    shutil.rmtree(retired)
