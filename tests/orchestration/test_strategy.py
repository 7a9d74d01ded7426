"""A run that needs several processes ends before anything is loaded."""

from typing import Any

import pytest

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.orchestration.hooks import StrategyHooks
from d2vlm_pipeline.pipelines import align, fpo, sft
from d2vlm_pipeline.settings import HOOKS
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.workers import TrainWorkers

SHARDED = TrainConfig.model_validate({"clips_per_step": 8, "sharding": {"zero_stage": 2}})
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


def test_one_gpu_is_let_through() -> None:
    check(sft.create_pipeline(), sft=TrainConfig(), train=ONE)


def test_several_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^sft: ZeRO-2 on 4 workers needs a distributed run") as found:
        check(sft.create_pipeline(), sft=SHARDED, train=FOUR)
    assert "\n" not in str(found.value)


def test_the_mend_is_for_all_phases_of_the_run() -> None:
    both = fpo.create_pipeline() + sft.create_pipeline()
    said = r"sft\.sharding\.zero_stage=0,.*fpo\.sharding\.zero_stage=0,"
    with pytest.raises(UserError, match=said) as found:
        check(both, sft=SHARDED, fpo=SHARDED, train=ONE)
    assert "\n" not in str(found.value)


def test_a_phase_within_other_parameters_is_found() -> None:
    with pytest.raises(UserError, match=r"^align\.training: .*align\.training\.sharding\.zero_stage=0"):
        check(align.create_pipeline(), align=Wrapping(training=SHARDED), train=ONE)


def test_it_is_asked_in_every_run() -> None:
    assert any(isinstance(hook, StrategyHooks) for hook in HOOKS)
