"""How phases spread, in DeepSpeed's words; and what a single process refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import deepspeed_settings, refuse_auto
from d2vlm_pipeline.training.sharding import ShardingConfig, Spread


def config(**sharding: Any) -> TrainConfig:
    optim = {"learning_rate": 2e-5, "weight_decay": 0.1, "betas": (0.9, 0.95), "clip_norm": 0.5}
    portions = {"clips_per_step": 32, "micro_batch": 2}
    return TrainConfig.model_validate(
        {**portions, "optim": optim, "precision": "bfloat16", "sharding": sharding}
    )


def values(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from values(value)
    else:
        yield tree


WAYS = [
    Spread(workers, ShardingConfig.model_validate({"zero_stage": stage, "offload": offload}))
    for workers in (1, 4)
    for stage in (1, 2, 3)
    for offload in ("none", "optimiser", "weights")
    if stage >= {"none": 0, "optimiser": 1, "weights": 3}[offload]
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.workers}, {way.name}")
def test_nothing_is_left_for_deepspeed_to_guess(way: Spread) -> None:
    sharding = way.sharding
    settings = deepspeed_settings(config(**sharding.model_dump()), way.workers)
    assert json.loads(json.dumps(settings)) == settings
    assert "auto" not in list(values(settings)) and None not in list(values(settings))
    batch = settings["train_micro_batch_size_per_gpu"] * settings["gradient_accumulation_steps"] * way.workers
    assert settings["train_batch_size"] == batch == 32
    assert settings["zero_optimization"]["stage"] == sharding.zero_stage
    assert ("offload_optimizer" in settings["zero_optimization"]) == (sharding.offload != "none")
    assert ("offload_param" in settings["zero_optimization"]) == (sharding.offload == "weights")


def test_the_phase_s_own_values_are_in_it() -> None:
    settings = deepspeed_settings(config(zero_stage=2, bucket_parameters=1000), workers=4)
    adam = settings["optimizer"]["params"]
    assert (adam["lr"], adam["betas"], adam["weight_decay"]) == (2e-5, [0.9, 0.95], 0.1)
    assert settings["gradient_clipping"] == 0.5
    assert settings["zero_optimization"]["reduce_bucket_size"] == 1000


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_trains_stays_in_single_precision(stage: int, precision: str) -> None:
    config_of = config(zero_stage=stage).model_copy(update={"precision": precision})
    settings = deepspeed_settings(config_of, workers=4)
    assert settings["bf16"] == settings["fp16"] == {"enabled": False}
    assert settings["torch_autocast"] == {"enabled": False}


@pytest.mark.parametrize(
    "given", [{"precision": "auto"}, {"sharding": {"zero_stage": 2, "bucket_parameters": "auto"}}]
)
def test_auto_is_refused_in_one_line_that_names_the_key(given: dict[str, Any]) -> None:
    key = "precision" if "precision" in given else "bucket_parameters"
    whole = {"sharding": {"zero_stage": 2}, "precision": "float32", **given}
    with pytest.raises(ValueError, match=f"{key}: auto leaves DeepSpeed to find out what runs"):
        TrainConfig.model_validate(whole)


def test_auto_is_refused_anywhere_in_what_deepspeed_reads() -> None:
    settings = deepspeed_settings(config(zero_stage=3), workers=4)
    settings["zero_optimization"]["reduce_bucket_size"] = "auto"
    with pytest.raises(UserError, match=r"^zero_optimization\.reduce_bucket_size: auto leaves [^\n]*$"):
        refuse_auto(settings)


def test_states_on_the_cpu_are_updated_by_whom_it_is_said() -> None:
    by_torch = deepspeed_settings(
        config(zero_stage=2, offload="optimiser", offload_adam="torch"), workers=2
    )
    by_itself = deepspeed_settings(config(zero_stage=2, offload="optimiser"), workers=2)
    for settings, is_torch in ((by_torch, True), (by_itself, False)):
        assert settings["optimizer"]["params"]["torch_adam"] == is_torch
        assert settings["zero_force_ds_cpu_optimizer"] != is_torch


@pytest.mark.parametrize(
    ("stage", "offload", "needed"), [(0, "optimiser", 1), (2, "weights", 3), (0, "weights", 3)]
)
def test_only_what_is_partitioned_can_be_offloaded(stage: int, offload: str, needed: int) -> None:
    with pytest.raises(ValueError, match=f"offload: {offload} needs zero_stage {needed} or more"):
        ShardingConfig.model_validate({"zero_stage": stage, "offload": offload})


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        ShardingConfig.model_validate({"stage": 2})
