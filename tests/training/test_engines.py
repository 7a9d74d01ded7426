"""One training, whoever holds the weights: plain, DDP, ZeRO 1 to 3, offloaded; by one worker and by two.

Workers are processes of one gloo group, started once for all cases. Sums of gradients differ in their last
digits with the order they are added in. Measured were at most 1e-6 in a loss and a norm, and 2.3e-5 in a
weight, which AdamW moves by 5e-3 a step however small its gradient is. In bfloat16 such a digit may round a
number the other way: 1.7e-3, 7e-3 and 1.1e-2; bfloat16 itself is 3.5e-3, 3.5e-2 and 2e-2 off.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.training.engine import Workers
from d2vlm_pipeline.training.engines import make_engine
from d2vlm_pipeline.training.engines.deepspeed import check_record
from d2vlm_pipeline.training.engines.plain import PlainEngine
from training.engine_cases import LORA, Case, Outcome, Trainings, alone, differences, in_processes, zero

WITHIN = {"loss": 5e-6, "norm": 5e-6, "weights": 5e-5}
WITHIN_HALF = {"loss": 5e-3, "norm": 5e-2, "weights": 3e-2}

SFT, FPO = Case(), Case("fpo", tuning=LORA)
# Three passes of two workers: one of them runs an idle one.
FEW = Case(tuning=LORA, is_checkpointed=True, clips_per_part=2)
WAYS = {
    "ddp": {},
    "zero 1": zero(1),
    "zero 2": zero(2),
    "zero 3": zero(3),
    "states on CPU": zero(2, "optimiser"),
    "all on CPU": zero(3, "weights"),
}


def spread(case: Case, prefix: str, ways: tuple[str, ...] = tuple(WAYS)) -> dict[str, Case]:
    return {f"{prefix}, {way}": replace(case, sharding=WAYS[way]) for way in ways}


TELLING = {
    **spread(replace(SFT, clips_per_part=3), "full", ("ddp", "zero 2")),
    **spread(replace(SFT, resumes_after=2), "full, resumed", ("zero 3",)),
    **spread(replace(FPO, steps=3), "pairs", ("zero 2", "all on CPU")),
    **spread(replace(FEW, steps=3, resumes_after=1), "few, resumed", ("ddp", "zero 1", "zero 3")),
}
EVERY = {
    **spread(replace(SFT, resumes_after=2), "full, resumed"),
    **spread(SFT, "full"),
    **spread(replace(FPO, resumes_after=2), "pairs, resumed"),
    **spread(FPO, "pairs"),
    **spread(replace(FEW, resumes_after=2), "few, resumed"),
    **spread(FEW, "few"),
}


def assert_trained_alike(
    found: list[dict[str, Outcome]], cases: dict[str, Case], within: dict[str, float] = WITHIN
) -> None:
    for name, case in cases.items():
        measured = differences(found[0][name], alone(replace(case, clips_per_part=1)))
        assert {key: value for key, value in measured.items() if value > within[key]} == {}, name
        for other in found[1:]:
            weights = other[name].weights
            assert all(torch.equal(weights[key], of) for key, of in found[0][name].weights.items()), name


@pytest.mark.slow
def test_two_workers_train_what_one_does(tmp_path: Path) -> None:
    assert_trained_alike(in_processes(Trainings(TELLING), 2, tmp_path / "workers"), TELLING)


@pytest.mark.slow
def test_two_workers_train_what_one_does_in_half_precision(tmp_path: Path) -> None:
    half = spread(replace(SFT, precision="bfloat16", steps=3), "half", ("ddp", "zero 2"))
    assert_trained_alike(in_processes(Trainings(half), 2, tmp_path / "workers"), half, WITHIN_HALF)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_every_way_trains_the_same_and_goes_on_to_the_bit(workers: int, tmp_path: Path) -> None:
    found = in_processes(Trainings(EVERY), workers, tmp_path / "workers")
    assert_trained_alike(found, EVERY)
    for name in EVERY:
        if ", resumed" in name:
            resumed, straight = found[0][name], found[0][name.replace(", resumed", "")]
            assert differences(resumed, straight) == {"loss": 0.0, "norm": 0.0, "weights": 0.0}, name


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("case", [SFT, FPO], ids=["full", "pairs"])
def test_passes_of_any_size_make_the_same_step(case: Case, size: int) -> None:
    short = replace(case, steps=2)
    measured = differences(alone(replace(short, clips_per_part=size)), alone(short))
    assert {key: value for key, value in measured.items() if value > WITHIN[key]} == {}


@pytest.mark.parametrize(("stage", "workers"), [(2, 4), (3, 2)])
def test_states_of_other_workers_are_refused_in_one_line(stage: int, workers: int, tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text('{"stage": 2, "workers": 2}')
    check_record(tmp_path, 2, 2)
    with pytest.raises(UserError, match=f"ZeRO-2 on 2 workers, which ZeRO-{stage} on {workers} cannot"):
        check_record(tmp_path, stage, workers)


def test_one_worker_without_partitions_is_the_plain_engine() -> None:
    engine = make_engine(torch.nn.Linear(2, 1), lambda batch: batch, SFT.config, Workers())
    assert isinstance(engine, PlainEngine)
