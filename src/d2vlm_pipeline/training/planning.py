"""Plans of the project's environments."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError, validation_reason
from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model.config import ModelConfig
from d2vlm_pipeline.orchestration.checks import typed_parameter
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.plan import Lengths, Plan, make_plan

PHASES = ("sft", "fpo")


def plan_environment(conf: Path, env: str | None, gpus: int | None, frames: int | None) -> Plan:
    """What the environment is going to train.

    Args:
        conf: The folder of the environments.
        env: One of them; None for the default.
        gpus: Instead of `sharding.gpus`.
        frames: Of a clip; by default as many as sampling takes at most.

    Raises:
        UserError: a parameter is refused, or an architecture is not on this machine.
    """
    sampling = typed_parameter(conf, env, "sampling", SamplingPolicy)
    phases = {name: typed_parameter(conf, env, name, TrainConfig) for name in PHASES}
    if gpus is not None:
        phases = {name: _on(gpus, name, config) for name, config in phases.items()}
    return make_plan(
        typed_parameter(conf, env, "model", ModelConfig),
        typed_parameter(conf, env, "encoder", EncoderConfig),
        sampling,
        phases,
        Lengths(frames=frames or sampling.max_frames),
    )


def _on(gpus: int, name: str, config: TrainConfig) -> TrainConfig:
    """The phase on so many GPUs; on one, nothing is partitioned."""
    sharding = config.sharding.model_dump() | {"gpus": gpus}
    if gpus == 1:
        sharding |= {"zero_stage": 0, "offload": "none"}
    try:
        return TrainConfig.model_validate(config.model_dump() | {"sharding": sharding})
    except ValidationError as error:
        raise UserError(f"--gpus {gpus}: {name}: {validation_reason(error)}") from None
