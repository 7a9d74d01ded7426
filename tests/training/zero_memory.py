"""What a worker really holds of a model that DeepSpeed partitions: bytes of all tensors."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from d2vlm_pipeline.model import build_model
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.engine import Workers
from d2vlm_pipeline.training.engines import make_engine
from d2vlm_pipeline.training.passes import descend
from d2vlm_pipeline.training.precision import Compute
from d2vlm_pipeline.training.running import count_of, step_of
from d2vlm_pipeline.training.tuning import tuned
from training.live_bytes import LiveBytes


@dataclass(frozen=True)
class Held:
    """Bytes of one worker, between steps and at the fullest moment of one; features are not among them."""

    between: int
    peak: int


@dataclass(frozen=True)
class Measurements:
    """Several, one after the other in the same processes."""

    cases: dict[str, tuple[Any, dict[str, Any]]]
    """By name: a case of `test_forecast`, and a phase's configuration."""

    def __call__(self, workers: Workers, folder: Path) -> dict[str, Held]:
        return {
            name: _measured(case, TrainConfig.model_validate(config), workers)
            for name, (case, config) in self.cases.items()
        }


def _measured(case: Any, config: TrainConfig, workers: Workers) -> Held:
    from training.test_forecast import batch_of, llama

    torch.set_num_threads(1)
    batches: Sequence[Any] = [batch_of(case) for _ in range(config.clips_per_step)]
    with LiveBytes() as live:
        model = build_model(llama(case), 0)
        compute = Compute.of(config)
        with tuned(model, config.tuning, [0, 1], 0), compute.holding(model):
            model.train()
            step = compute.running(step_of("sft", model, config))
            engine = make_engine(model, step, config, workers)
            for _ in range(2):
                gc.collect()
                live.peak = between = live.now
                descend(engine, batches, count_of("sft", config), lambda loss, parts: None)
                engine.gradient_norm()
                engine.update()
            held = Held(between, live.peak)
            engine.finish()
    return held
