"""Typed settings of Ray (ray.yml)."""

from pathlib import Path

from pydantic import Field, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.orchestration.checks import typed_parameter

TEST_CLUSTER = "test-cluster"
"""`ray.address` of a cluster of two machines, both of them this one."""


class RayFeatures(StrictModel):
    """How Ray Data extracts features; the features do not depend on it.

    Attributes:
        encoders: Actors that encode frames, each with the weights in its memory.
        gpus_per_encoder: GPUs of such an actor; a fraction lets several share one.
        cpus_per_encoder: Processor cores of such an actor.
        batch_clips: Clips that are handed to an actor together.
        decoders: Actors that decode, each with one core and a sandboxed process of its own.
        retries: How often a lost actor is started again, and its work repeated.
    """

    encoders: PositiveInt = 1
    gpus_per_encoder: float = Field(default=0.0, ge=0)
    cpus_per_encoder: float = Field(default=1.0, ge=0)
    batch_clips: PositiveInt = 4
    decoders: PositiveInt = 1
    retries: int = Field(default=2, ge=0)


class RayPool(StrictModel):
    """A pool of actors that do portions of a work; what comes out does not depend on it.

    Attributes:
        actors: Actors, each with what the work needs in its memory: the model that answers, say.
        cpus_per_actor: Processor cores that Ray sets aside for an actor; one that answers has as many threads
            as `compute.threads` says.
        gpus_per_actor: GPUs of an actor; a fraction lets several share one.
        retries: How often a lost actor is started again, and its work repeated.
    """

    actors: PositiveInt = 1
    cpus_per_actor: float = Field(default=1.0, ge=0)
    gpus_per_actor: float = Field(default=0.0, ge=0)
    retries: int = Field(default=2, ge=0)


class RaySettings(StrictModel):
    """Where heavy nodes run, and what one of their workers gets; of training, `train` says that.

    Attributes:
        enabled: Whether features are extracted, pairs made and checked, questions answered and answers scored
            on Ray; if not, in processes of this machine (`compute.workers`), and in this one.
        address: None starts Ray on this machine, `auto` joins the cluster that this machine belongs to, and
            `host:port` another one; `test-cluster` starts one of two machines in this one.
        object_store_mb: Shared memory of a Ray started here; None leaves the choice to Ray.
        features: Actor pools of the features pipeline.
        answers: Actor pool that answers questions.
        preferences: Actor pool that makes, checks and audits preference pairs.
        scoring: Actor pool that scores answers.
    """

    enabled: bool = False
    address: str | None = None
    object_store_mb: int | None = Field(default=None, ge=100)
    features: RayFeatures = RayFeatures()
    answers: RayPool = RayPool()
    preferences: RayPool = RayPool()
    scoring: RayPool = RayPool()


def ray_settings(conf: Path, env: str | None = None) -> RaySettings:
    """Settings of an environment.

    Raises:
        UserError: a key is unknown, or a value refused.
    """
    return typed_parameter(conf, env, "ray", RaySettings)
