"""A phase's configuration in DeepSpeed's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.training.config import LoopConfig, TrainConfig
from d2vlm_pipeline.training.sharding import ShardingConfig


def deepspeed_settings(config: TrainConfig, workers: int) -> dict[str, Any]:
    """The configuration file of DeepSpeed on so many workers: every value said, none left to be found out.

    The schedule of the learning rate is the loop's own and not in it; neither are the groups of parameters,
    which bring rates of their own. What trains is held in float32 in any precision, as everywhere here;
    products alone are of fewer bits. Keys as in DeepSpeed 0.19 (deepspeed/runtime/config.py,
    deepspeed/runtime/zero/config.py).

    Raises:
        UserError: a value is `auto`.
    """
    sharding, optim = config.sharding, config.optim
    settings: dict[str, Any] = {
        "train_batch_size": config.clips_per_step,
        "train_micro_batch_size_per_gpu": config.clips_per_pass(workers),
        "gradient_accumulation_steps": config.accumulation(workers),
        "gradient_clipping": optim.clip_norm,
        "prescale_gradients": False,
        "fp16": {"enabled": False},
        "bf16": {"enabled": False},
        "torch_autocast": {"enabled": False},  # the step's own
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optim.learning_rate,
                "betas": list(optim.betas),
                "eps": 1e-8,
                "weight_decay": optim.weight_decay,
                # PyTorch's own: DeepSpeed's would be compiled on first use.
                "torch_adam": sharding.offload == "none" or sharding.offload_adam == "torch",
            },
        },
        "zero_force_ds_cpu_optimizer": sharding.offload_adam == "deepspeed",
        "zero_optimization": _zero(sharding),
        "wall_clock_breakdown": False,
    }
    refuse_auto(settings)
    return settings


def curve_record(points: Sequence[dict[str, float]], config: LoopConfig, workers: int) -> dict[str, Any]:
    """A phase's curve as it is saved; where DeepSpeed trained, with all that it was told."""
    record: dict[str, Any] = {"schema": 1, "points": list(points)}
    if isinstance(config, TrainConfig) and config.sharding.zero_stage > 0:
        record["deepspeed"] = deepspeed_settings(config, workers)
    return record


def refuse_auto(settings: dict[str, Any]) -> None:
    """Refuse values that are left to be found out: what a run was would depend on where it ran.

    Raises:
        UserError: a value is `auto`.
    """
    for key, value in _values(settings):
        if value == "auto":
            raise UserError(f"{key}: auto leaves DeepSpeed to find out what runs; give it a value")


def _values(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{above}.{name}" if above else name
        if isinstance(value, dict):
            yield from _values(value, key)
        else:
            yield key, value


def _zero(sharding: ShardingConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"stage": sharding.zero_stage}
    if sharding.zero_stage == 0:
        return found
    found |= {
        "overlap_comm": sharding.overlap_communication,
        "contiguous_gradients": True,
        "reduce_scatter": True,
        "reduce_bucket_size": sharding.bucket_parameters,
        "sub_group_size": 1_000_000_000,
    }
    in_cpu_memory = {"device": "cpu", "pin_memory": True}
    if sharding.offload != "none":
        found["offload_optimizer"] = in_cpu_memory
    if sharding.zero_stage < 3:
        return found | {
            "allgather_partitions": True,
            "allgather_bucket_size": sharding.bucket_parameters,
            "round_robin_gradients": False,
            "ignore_unused_parameters": True,
        }
    if sharding.offload == "weights":
        found["offload_param"] = in_cpu_memory
    return found | {
        "stage3_prefetch_bucket_size": sharding.bucket_parameters,
        "stage3_max_live_parameters": sharding.live_parameters,
        "stage3_max_reuse_distance": sharding.live_parameters,
        "stage3_param_persistence_threshold": sharding.persistent_parameters,
        "stage3_gather_16bit_weights_on_model_save": False,
    }
