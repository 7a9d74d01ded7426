"""Where a phase trains: in the run's own process, or in workers of Ray Train."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.tracking import CurveTarget, LiveCurve
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.host import Host
from d2vlm_pipeline.training.workers import TrainWorkers, check_launch

if TYPE_CHECKING:
    from d2vlm_pipeline.model.bundle import ModelBundle
    from d2vlm_pipeline.training.running import Trained


class Phase(Protocol):
    """A phase with its examples: what trains a copy of the model it is given."""

    def __call__(self, start: ModelBundle, *, host: Host) -> Trained:
        """The trained model; of several workers, whole on worker 0 alone."""
        ...


def launch(
    name: str,
    phase: Phase,
    start: ModelBundle,
    config: TrainConfig,
    train: TrainWorkers,
    ray: RaySettings,
    curve: CurveTarget | None = None,
) -> Trained:
    """Train a phase where `train` says; its curve is shown while it grows.

    Args:
        name: of the phase.
        phase: what trains.
        start: the model to start from, which stays what it was.
        config: of the phase.
        train: who trains.
        ray: where workers run.
        curve: where the curve is shown.

    Raises:
        UserError: what the phase says, no cluster or no room in it, or workers were lost again and again.
    """
    check_launch(name, config, train)
    if train.uses_ray(config.sharding):
        from d2vlm_pipeline.training.distributed.ray_train import train_on_ray

        return train_on_ray(name, phase, start, config, train, ray, curve)
    return train_here(phase, start, curve)


def train_here(phase: Phase, start: ModelBundle, curve: CurveTarget | None) -> Trained:
    """Train in this process; the curve is shown while it grows."""
    with LiveCurve(curve) if curve else nullcontext() as on_point:
        return phase(start, host=Host(on_point=on_point))
