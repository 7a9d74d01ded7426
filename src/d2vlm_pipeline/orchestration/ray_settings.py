"""Typed settings of the Ray cluster (ray.yml)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason
from d2vlm_pipeline.orchestration.project import project_config


class RaySettings(StrictModel):
    """Where heavy nodes run, and what one of their workers gets; how many there are is `sharding.gpus`.

    Attributes:
        address: None starts Ray on this machine, `auto` joins the cluster that this machine belongs to, and
            `host:port` another one.
        cpus_per_gpu: Processor cores of a training worker.
        accelerator: Kind of GPU to wait for, by Ray's name (`A100`, `H100` …); None takes any.
        placement: Whether workers crowd on few nodes or spread over many.
        max_failures: How often a phase starts again from its checkpoint after a worker was lost.
        storage: Folder or bucket for checkpoints of a phase; of several nodes, one that all of them see.
    """

    address: str | None = None
    cpus_per_gpu: PositiveInt = 8
    accelerator: str | None = None
    placement: Literal["PACK", "SPREAD"] = "PACK"
    max_failures: int = Field(default=0, ge=0)
    storage: str = Field(min_length=1)


def ray_settings(conf: Path, env: str | None = None) -> RaySettings:
    """Settings of an environment.

    Raises:
        UserError: a key is unknown, or a value refused.
    """
    found = project_config(conf, env)["ray"]
    folder = env if env is not None and list((conf / env).glob("ray*.yml")) else "base"
    if list(found) != ["ray"]:
        raise UserError(f"{conf.name}/{folder}/ray.yml: settings belong below one key, ray; move them there")
    try:
        return RaySettings.model_validate(found["ray"])
    except ValidationError as error:
        raise UserError(f"{conf.name}/{folder}/ray.yml: ray.{validation_reason(error)}; mend it") from None
