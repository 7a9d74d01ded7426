"""How a phase spreads over GPUs, and the same in DeepSpeed's words."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel

Offload = Literal["none", "optimiser", "weights"]
ZeroStage = Literal[0, 1, 2, 3]


class ShardingConfig(StrictModel):
    """What is partitioned among GPUs (ZeRO, arXiv 1910.02054, §5) and what lies in CPU memory instead.

    Attributes:
        gpus: One process each.
        zero_stage: 0 partitions nothing, 1 the optimiser's states, 2 gradients as well, 3 the weights, too.
        offload: To CPU memory: nothing, the optimiser's states (stages 1 to 3; ZeRO-Offload, arXiv
            2101.06840), or also the weights (stage 3).
        bucket_parameters: Gradients reduced, and weights gathered, at a time. Smaller buckets take less
            memory and more messages.
        live_parameters: Stage 3: weights that may lie gathered on a GPU at a time.
    """

    gpus: PositiveInt = 1
    zero_stage: ZeroStage = 0
    offload: Offload = "none"
    bucket_parameters: PositiveInt = 50_000_000
    live_parameters: PositiveInt = 200_000_000
    overlap_communication: bool = True

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        needed = {"none": 0, "optimiser": 1, "weights": 3}[self.offload]
        if self.zero_stage < needed:
            raise ValueError(f"offload: {self.offload} needs zero_stage {needed} or more")
        return self


class AdamSettings(StrictModel):
    """The optimiser that DeepSpeed is to make; groups of parameters bring rates of their own."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)


def deepspeed_settings(
    sharding: ShardingConfig,
    adam: AdamSettings,
    *,
    micro_batch: int,
    accumulation: int,
    clip_norm: float,
    bfloat16: bool,
) -> dict[str, Any]:
    """The configuration file of DeepSpeed: every value said, none left to be found out.

    The schedule of the learning rate is the loop's own and not in it. Keys as in DeepSpeed 0.19
    (deepspeed/runtime/config.py, deepspeed/runtime/zero/config.py).
    """
    return {
        "train_batch_size": micro_batch * accumulation * sharding.gpus,
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": clip_norm,
        "bf16": {"enabled": bfloat16},
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": adam.learning_rate,
                "betas": list(adam.betas),
                "eps": 1e-8,
                "weight_decay": adam.weight_decay,
                # PyTorch's own: DeepSpeed's would be compiled on first use.
                "torch_adam": sharding.offload == "none",
            },
        },
        "zero_optimization": _zero(sharding),
        "wall_clock_breakdown": False,
    }


def _zero(sharding: ShardingConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"stage": sharding.zero_stage}
    if sharding.zero_stage == 0:
        return found
    found |= {
        "overlap_comm": sharding.overlap_communication,
        "contiguous_gradients": True,
        "reduce_bucket_size": sharding.bucket_parameters,
        "sub_group_size": 1_000_000_000,
    }
    in_cpu_memory = {"device": "cpu", "pin_memory": True}
    if sharding.offload != "none":
        found["offload_optimizer"] = in_cpu_memory
    if sharding.zero_stage < 3:
        return found | {"allgather_bucket_size": sharding.bucket_parameters}
    if sharding.offload == "weights":
        found["offload_param"] = in_cpu_memory
    return found | {
        "stage3_prefetch_bucket_size": sharding.bucket_parameters,
        "stage3_max_live_parameters": sharding.live_parameters,
        "stage3_max_reuse_distance": sharding.live_parameters,
        "stage3_param_persistence_threshold": 100_000,
        "stage3_gather_16bit_weights_on_model_save": True,
    }
