"""Who trains, and where."""

from typing import Any

import pytest

from d2vlm_pipeline.training.sharding import ShardingConfig
from d2vlm_pipeline.training.workers import TrainWorkers

PLAIN, DIVIDED = ShardingConfig(), ShardingConfig(zero_stage=2)


def workers(**given: Any) -> TrainWorkers:
    return TrainWorkers.model_validate({"storage": "unused", **given})


@pytest.mark.parametrize(
    ("given", "sharding", "expected"),
    [
        ({}, PLAIN, False),
        ({"workers": 2}, PLAIN, True),
        ({}, DIVIDED, True),
        ({"launcher": "ray"}, PLAIN, True),
        ({"launcher": "process"}, PLAIN, False),
    ],
)
def test_ray_starts_what_needs_a_group_or_is_asked_for(
    given: dict[str, Any], sharding: ShardingConfig, expected: bool
) -> None:
    assert workers(**given).uses_ray(sharding) is expected


def test_a_phase_for_one_worker_stays_where_several_would_run() -> None:
    assert workers(workers=4).alone(PLAIN) == workers(launcher="ray")
    assert workers().alone(PLAIN) == workers()


def test_several_workers_in_one_process_are_refused() -> None:
    with pytest.raises(ValueError, match="launcher process: 2 workers are started by Ray; set it to auto"):
        workers(workers=2, launcher="process")


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        workers(gpus=2)
