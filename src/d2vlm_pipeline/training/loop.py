"""The training loop: one for every phase and engine. What a phase computes is the engine's step function."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import Interrupted, UserError, seed_with_torch, track, worker_names
from d2vlm_pipeline.training.accumulation import Count
from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.curve import Curve, Log, OnPoint, Watch
from d2vlm_pipeline.training.data import Steps
from d2vlm_pipeline.training.engine import Engine, share_of
from d2vlm_pipeline.training.passes import descend
from d2vlm_pipeline.training.progress import Progress
from d2vlm_pipeline.training.signals import stop_requested, until_the_step_ends

_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Trouble(Generic[_Batch]):
    """A step that must not be taken: why, of which batches, and the random state before it."""

    step: int
    reason: str
    batches: Sequence[_Batch]
    random_state: Tensor


Rescue = Callable[[Trouble[_Batch]], Path]
"""Saves what went wrong together with the model; returns where."""

_LOG = logging.getLogger(__name__)


def run_phase(
    name: str,
    model: nn.Module,
    engine: Engine[_Batch],
    data: Steps[_Batch],
    config: LoopConfig,
    watch: Watch | None = None,
    count: Count[_Batch] | None = None,
    rescue: Rescue[_Batch] | None = None,
    on_point: OnPoint | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Train in place for ``config.steps`` steps and return the curve; say what the watch makes of it.

    All workers of a phase call it. It goes on behind the newest checkpoint, if there is one. Behind it the
    model is in evaluation mode, after a failure as well.

    Args:
        name: Of the phase.
        model: What is trained.
        engine: This worker's hold on it.
        data: The parts of every step, all workers' together.
        config: How long, and how.
        watch: Warns about the curve.
        count: What the terms of the loss are means over; needed where a step has several parts.
        rescue: Saves a step that goes wrong.
        on_point: Is told every point of the curve as it is made.
        progress: Makes checkpoints.

    Raises:
        UserError: the loss or the gradient stopped being finite. The weights are those before that step.
        Interrupted: the process was asked to stop; a checkpoint was made if there is a place for it.
    """
    torch.set_num_threads(config.threads)
    # Gradients of indexed rows are summed by threads in any order otherwise: same seed, other weights.
    torch.use_deterministic_algorithms(True)
    # Otherwise every new tensor would be filled first, for the sake of code that reads what nobody wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Every worker draws dropout of its own; the first draws what a single one would.
    seed_with_torch(config.seed, name, *worker_names(engine.rank))
    model.train()
    try:
        with until_the_step_ends():
            curve = _Loop(name, engine, config, watch, count, rescue, on_point, progress).run(data)
        engine.finish()
    finally:
        model.eval()
    return curve


@dataclass(frozen=True)
class _Loop(Generic[_Batch]):
    """One worker's loop; see `run_phase`."""

    name: str
    engine: Engine[_Batch]
    config: LoopConfig
    watch: Watch | None
    count: Count[_Batch] | None
    rescue: Rescue[_Batch] | None
    on_point: OnPoint | None
    progress: Progress | None

    def run(self, data: Steps[_Batch]) -> Curve:
        """Train, and log what was seen."""
        log = Log()
        taken = self._resumed(log)
        steps = data(taken)
        for at in track(range(taken + 1, self.config.steps + 1), self.name, unit="step"):
            rate = self._step(at, next(steps), log)
            if at % self.config.log_every == 0 or at == self.config.steps:
                log.close(self.engine, at, rate)
                self._tell(log.points[-1])
                for warning in self._warnings(log.points):
                    _LOG.warning("%s: %s", self.name, warning)
            self._keep(at, log)
        return Curve(log.points)

    def _resumed(self, log: Log) -> int:
        """Steps that were taken before, what was logged of them in the log."""
        if self.progress is None:
            return 0
        taken = self.progress.resume(self.name, self.engine, log)
        for number, point in enumerate(log.points, start=1):
            self._tell(point)
            self._warnings(log.points[:number])  # said then
        return taken

    def _keep(self, at: int, log: Log) -> None:
        """Make a checkpoint where one is due, or where the phase is to stop; then it does."""
        asked = stop_requested()
        is_asked = bool(self.engine.total(torch.tensor([float(asked is not None)])).item())
        place = None
        if self.progress is not None and (is_asked or self.progress.is_due(at)):
            place = self.progress.save(self.engine, at, log)
        if is_asked:
            number = next(of for of in self.engine.gather(asked) if of is not None)
            raise Interrupted(self._farewell(at, number, place), number)

    def _farewell(self, at: int, number: int, place: str | None) -> str:
        how = f"{place} holds it: the same command goes on from there"
        if place is None:
            how = f"without {self.name}.checkpoints nothing of it was kept: the same command starts over"
        where = f"stopped by {Signals(number).name} behind step {at} of {self.config.steps}"
        return f"{self.name}: {where}; {how}"

    def _step(self, at: int, parts: Sequence[_Batch], log: Log) -> float:
        """Take one step; the rate of the next."""
        require = partial(self._require_finite, at, torch.get_rng_state())
        result = descend(self.engine, parts, self.count, partial(require, "the loss"))
        norm = self.engine.gradient_norm()
        require("the gradient's norm", norm, share_of(parts, self.engine.rank, self.engine.workers))
        log.add(result, norm)
        return self.engine.update()

    def _tell(self, point: dict[str, float]) -> None:
        if self.on_point is not None:
            self.on_point(point)

    def _warnings(self, points: Sequence[dict[str, float]]) -> Sequence[str]:
        return self.watch(points) if self.watch is not None and self.engine.rank == 0 else ()

    def _require_finite(
        self, at: int, random_state: Tensor, what: str, value: Tensor, batches: Sequence[_Batch]
    ) -> None:
        """End the phase on all workers where one has a number that is none, what it was computed of saved."""
        is_bad = not torch.isfinite(value)
        if not self.engine.total(torch.tensor([float(is_bad)])).item():
            return
        reasons = self.engine.gather(f"{what} is {value.item()}" if is_bad else None)
        first = next(rank for rank, reason in enumerate(reasons) if reason is not None)
        saved = None
        if self.rescue is not None and self.engine.rank == first:
            saved = self.rescue(Trouble(at, reasons[first], list(batches), random_state))
        place = self.engine.gather(saved)[first]
        seen = "" if place is None else f"`d2vlm replay {place}` shows where it began; "
        raise UserError(f"{self.name}: {reasons[first]} at step {at}; {seen}lower optim.learning_rate")
