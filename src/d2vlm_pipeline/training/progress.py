"""A loop that goes on where it was: what it keeps in a checkpoint besides its engine's states."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from d2vlm_pipeline.model.files import read_tensors
from d2vlm_pipeline.training.checkpoints import CheckpointPlace, read_record
from d2vlm_pipeline.training.curve import Log
from d2vlm_pipeline.training.engine import Engine
from d2vlm_pipeline.training.random_states import random_states, restore_random_states

_LOG = logging.getLogger(__name__)
_ENGINE = "engine"
_RANDOM, _WINDOW, _SPREADS = "random", "window", "spreads"


@dataclass(frozen=True)
class Progress:
    """One worker's part in the checkpoints of a phase.

    Attributes:
        place: Where they lie.
        every_steps: How often one is made.
        steps: Of the phase; the last one is followed by a checkpoint, too, so that what was learned outlives
            a kill before it is saved.
    """

    place: CheckpointPlace
    every_steps: int
    steps: int

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint follows this step."""
        return step % self.every_steps == 0 or step == self.steps

    def save(self, engine: Engine[Any], step: int, log: Log) -> str:
        """Make a checkpoint; its name for people."""
        return self.place.publish(engine, step, log.points, partial(_write, engine, log))

    def resume(self, name: str, engine: Engine[Any], log: Log) -> int:
        """Take up the newest checkpoint; how many steps were taken, 0 where there is none.

        Raises:
            UserError: it cannot be read, or is of another model.
        """
        folder = self.place.latest(engine)
        if folder is None:
            return 0
        record = read_record(folder)
        engine.load(folder / _ENGINE)
        log.points[:] = record.points
        tensors = read_tensors(_own_file(folder, engine.rank))
        log.window[:] = _rows(tensors, _WINDOW)
        log.spreads[:] = _rows(tensors, _SPREADS)
        log.spreads += [{} for _ in range(len(log.window) - len(log.spreads))]
        restore_random_states(_group(tensors, _RANDOM))
        if engine.rank == 0:
            _LOG.info("%s: goes on behind step %d of %d (%s)", name, record.step, self.steps, folder)
        return record.step


def _write(engine: Engine[Any], log: Log, folder: Path) -> None:
    """This worker's files."""
    from safetensors.torch import save_file

    home = folder / _ENGINE
    home.mkdir(exist_ok=True)
    engine.save(home)
    tensors = {f"{_RANDOM}/{name}": state for name, state in random_states().items()}
    for kind, rows in ((_WINDOW, log.window), (_SPREADS, log.spreads)):
        tensors |= _numbered(kind, rows)
    # Copies: two figures may be one tensor, which safetensors refuses.
    copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    save_file(copies, _own_file(folder, engine.rank))


def _own_file(folder: Path, rank: int) -> Path:
    return folder / f"worker-{rank}.safetensors"


def _group(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    start = f"{kind}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _numbered(kind: str, rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Values by row and place in it: files sort them by name."""
    return {
        f"{kind}/{at}/{place}/{name}": value
        for at, row in enumerate(rows)
        for place, (name, value) in enumerate(row.items())
    }


def _rows(tensors: dict[str, Tensor], kind: str) -> list[dict[str, Tensor]]:
    """What `_numbered` was given; rows behind the last that holds something are not among it."""
    found: list[tuple[int, int, str, Tensor]] = []
    for key, value in _group(tensors, kind).items():
        at, place, name = key.split("/", 2)
        found.append((int(at), int(place), name, value))
    found.sort(key=lambda entry: entry[:2])
    rows: list[dict[str, Tensor]] = [{} for _ in range(found[-1][0] + 1 if found else 0)]
    for row, _, name, value in found:
        rows[row][name] = value
    return rows
