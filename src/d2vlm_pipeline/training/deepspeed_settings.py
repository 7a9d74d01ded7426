"""A phase's configuration in DeepSpeed's words."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.sharding import ShardingConfig


def deepspeed_settings(config: TrainConfig, workers: int) -> dict[str, Any]:
    """The configuration file of DeepSpeed on so many workers: every value said, none left to be found out.

    The schedule of the learning rate is the loop's own and not in it; neither are the groups of parameters,
    which bring rates of their own. Keys as in DeepSpeed 0.19
    (deepspeed/runtime/config.py, deepspeed/runtime/zero/config.py).
    """
    sharding, optim = config.sharding, config.optim
    return {
        "train_batch_size": config.clips_per_step,
        "train_micro_batch_size_per_gpu": config.clips_per_pass(workers),
        "gradient_accumulation_steps": config.accumulation(workers),
        "gradient_clipping": optim.clip_norm,
        "bf16": {"enabled": config.precision != "float32"},
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optim.learning_rate,
                "betas": list(optim.betas),
                "eps": 1e-8,
                "weight_decay": optim.weight_decay,
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
