"""Engines of the training loop: who holds the weights, and how gradients become an optimiser step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import LoopConfig, TrainConfig
from d2vlm_pipeline.training.engine import Engine, Workers
from d2vlm_pipeline.training.engines.plain import PlainEngine

_Batch = TypeVar("_Batch")


def make_engine(
    model: nn.Module, step: Callable[[_Batch], StepResult], config: LoopConfig, workers: Workers
) -> Engine[_Batch]:
    """The engine that a phase is configured for, on the device that its model lies on.

    DeepSpeed where something is partitioned, DistributedDataParallel for several workers, else neither; of
    several workers, each calls it with its own number behind the start of PyTorch's process group.

    Args:
        model: what trains in place; in its hands until `finish`.
        step: what is computed of a batch.
        config: how long the phase is, how it descends, and what is partitioned.
        workers: who calls.

    Raises:
        UserError: a value of DeepSpeed's would be left for it to find out.
    """
    if isinstance(config, TrainConfig) and config.sharding.zero_stage > 0:
        from d2vlm_pipeline.training.engines.deepspeed import DeepSpeedEngine

        return DeepSpeedEngine(model, step, config, workers)
    if workers.number > 1:
        from d2vlm_pipeline.training.engines.ddp import DdpEngine

        return DdpEngine(model, step, config, workers)
    return PlainEngine(model, step, config)
