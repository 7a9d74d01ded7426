"""Plans of the project's environments."""

from __future__ import annotations

from pathlib import Path

from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model.config import ModelConfig
from d2vlm_pipeline.orchestration.checks import typed_parameter
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.plan import Lengths, Plan, make_plan
from d2vlm_pipeline.training.workers import TrainWorkers

PHASES = ("sft", "fpo")


def plan_environment(conf: Path, env: str | None, gpus: int | None, frames: int | None) -> Plan:
    """What the environment is going to train.

    Args:
        conf: The folder of the environments.
        env: One of them; None for the default.
        gpus: Instead of `train.workers`, each with a GPU.
        frames: Of a clip; by default as many as sampling takes at most.

    Raises:
        UserError: a parameter is refused, a step cannot be shared out among the workers, or an architecture
            is not on this machine.
    """
    sampling = typed_parameter(conf, env, "sampling", SamplingPolicy)
    phases = {name: typed_parameter(conf, env, name, TrainConfig) for name in PHASES}
    train = typed_parameter(conf, env, "train", TrainWorkers)
    if gpus is not None:
        train = train.model_copy(update={"workers": gpus})
    if gpus == 1:
        phases = {name: _undivided(config) for name, config in phases.items()}
    return make_plan(
        typed_parameter(conf, env, "model", ModelConfig),
        typed_parameter(conf, env, "encoder", EncoderConfig),
        sampling,
        phases,
        train,
        Lengths(frames=frames or sampling.max_frames),
    )


def _undivided(config: TrainConfig) -> TrainConfig:
    """The phase with nothing partitioned or offloaded."""
    sharding = config.sharding.model_copy(update={"zero_stage": 0, "offload": "none"})
    return config.model_copy(update={"sharding": sharding})
