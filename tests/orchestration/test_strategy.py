"""What the workers of a run cannot do ends it before anything is loaded."""

from typing import Any

import pytest

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.orchestration.hooks import StrategyHooks
from d2vlm_pipeline.pipelines import align, fpo, sft
from d2vlm_pipeline.settings import HOOKS
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.workers import TrainWorkers

SHARDED = TrainConfig.model_validate(
    {"clips_per_step": 8, "precision": "float32", "sharding": {"zero_stage": 2}}
)
ONE, FOUR = (TrainWorkers(workers=number, storage="unused") for number in (1, 4))


class Wrapping(StrictModel):
    training: TrainConfig


class Values:
    """A catalog that holds parameters alone: whoever loads anything else fails."""

    def __init__(self, **values: Any) -> None:
        self._values = {f"params:{name}": value for name, value in values.items()}

    def load(self, name: str) -> Any:
        return self._values.get(name, {}) if name.startswith("params:") else pytest.fail(f"{name} was loaded")


def check(pipeline: Any, **values: Any) -> None:
    StrategyHooks().before_pipeline_run({"env": "gpu"}, pipeline, Values(**values))


def test_what_workers_can_share_is_let_through() -> None:
    check(sft.create_pipeline(), sft=TrainConfig(), train=ONE)
    check(sft.create_pipeline(), sft=SHARDED, train=FOUR)


def test_clips_that_are_left_over_are_one_line() -> None:
    """Of any phase of the run, and of none that is not in it."""
    odd = TrainConfig(clips_per_step=6)
    both = fpo.create_pipeline() + sft.create_pipeline()
    with pytest.raises(UserError, match=r"^fpo: clips_per_step 6 does not divide among 4 workers") as found:
        check(both, sft=SHARDED, fpo=odd, train=FOUR)
    assert "\n" not in str(found.value)
    check(sft.create_pipeline(), sft=SHARDED, fpo=odd, train=FOUR)


def test_the_phase_that_cannot_be_shared_may_have_any_number_of_clips() -> None:
    check(align.create_pipeline(), align=Wrapping(training=TrainConfig(clips_per_step=6)), train=FOUR)


def test_partitioned_states_are_not_for_the_run_s_own_process() -> None:
    here = TrainWorkers(launcher="process", storage="unused")
    said = r"^train\.launcher process: align\.training partitions .*training\.sharding\.zero_stage to 0"
    with pytest.raises(UserError, match=said):
        check(align.create_pipeline(), align=Wrapping(training=SHARDED), train=here)


def test_it_is_asked_in_every_run() -> None:
    assert any(isinstance(hook, StrategyHooks) for hook in HOOKS)
