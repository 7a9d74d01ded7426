"""A step cut into passes learns what the whole step would."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import D2VLM
from d2vlm_pipeline.model.packing import Clip, PackedBatch, pack
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.accumulation import Count, StepResult, shares_of
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.data import Parts
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.loop import Trouble, run_phase
from d2vlm_pipeline.training.passes import descend
from d2vlm_pipeline.training.steps import fpo_counts, fpo_step, sft_counts, sft_step
from model import tiny
from training.gang import Gang, GangEngine

Step = Callable[[PackedBatch], StepResult]


def uneven_clips() -> list[Clip]:
    """Passes differ in tokens, in responses with evidence, in pairs and in length; one has no pair."""
    return [
        tiny.clip_of(tiny.features(8), [*tiny.branches(8, ("tvg", "rar")), tiny.pair_branch("dvc", 8)]),
        tiny.clip_of(tiny.features(5), tiny.branches(5, ("rar", "absent"))),
        tiny.clip_of(tiny.features(11), [tiny.pair_branch("tal", 11), tiny.pair_branch("tvg", 11)]),
    ]


def sft(model: D2VLM, **options: object) -> tuple[Step, Count[PackedBatch]]:
    config = SFTConfig.model_validate(options)
    return partial(sft_step, model, config=config), partial(sft_counts, config=config)


def fpo(model: D2VLM) -> tuple[Step, Count[PackedBatch]]:
    config, preference = SFTConfig(), FPOConfig(beta_grounding=1.0, weight=0.7)
    return partial(fpo_step, model, sft=config, fpo=preference), partial(fpo_counts, sft=config)


PHASES = {
    "sft": sft,
    "sft by rows": partial(sft, grounding_mean="rows"),
    "fpo": fpo,
}


def learned(model: D2VLM, result: StepResult) -> tuple[StepResult, dict[str, Tensor]]:
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad(set_to_none=True)
    return result, gradients


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1), (1, 2)])
def test_passes_add_up_to_the_step(phase: str, sizes: tuple[int, ...]) -> None:
    model = tiny.model()
    step, count = PHASES[phase](model)
    rest = iter(uneven_clips())
    passes = [pack(list(itertools.islice(rest, size)), 0) for size in sizes]
    engine = PlainEngine(model, step, TrainConfig())
    whole, expected = learned(model, descend(engine, [pack(uneven_clips(), 0)], count, lambda *_: None))
    cut, found = learned(model, descend(engine, passes, count, lambda *_: None))
    torch.testing.assert_close(cut.loss, whole.loss.detach())
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-5, rtol=1e-4, msg=name)
    for name, figure in whole.figures.items():
        torch.testing.assert_close(cut.figures[name], figure.detach(), atol=1e-4, rtol=1e-4, msg=name)
    for name, values in whole.spreads.items():
        torch.testing.assert_close(cut.spreads[name], values.detach(), atol=1e-4, rtol=1e-4, msg=name)


def test_the_mean_of_means_would_be_another_loss() -> None:
    """The clips above do tell the two apart."""
    model = tiny.model()
    step, _ = sft(model)
    whole = step(pack(uneven_clips(), 0)).loss
    alone = torch.stack([step(pack([clip], 0)).loss for clip in uneven_clips()]).mean()
    assert abs(whole - alone) > 0.01 * whole


def test_what_no_pass_has_has_no_share() -> None:
    counts = [{"a": 1, "b": 0}, {"a": 3, "b": 0}]
    assert shares_of(counts, {"a": 4, "b": 0}) == [{"a": 0.25, "b": 0.0}, {"a": 0.75, "b": 0.0}]


def test_a_run_in_small_portions_ends_where_one_in_large_ones_does() -> None:
    def trained(config: TrainConfig) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
        model = tiny.model()
        step, count = sft(model)
        size = config.clips_per_pass(1)
        clips = uneven_clips()
        parts = [pack(clips[at : at + size], 0) for at in range(0, len(clips), size)]
        engine = PlainEngine(model, step, config)
        curve = run_phase("sft", model, engine, lambda taken: itertools.repeat(parts), config, count=count)
        return curve.points, model.state_dict()

    whole = TrainConfig(steps=3, clips_per_step=3, log_every=3, threads=1)
    (expected,), weights = trained(whole)
    (found,), same = trained(whole.model_copy(update={"micro_batch": 1}))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, atol=1e-5, rtol=1e-4)


def trained_by(workers: int, phase: str) -> list[tuple[list[dict[str, float]], dict[str, Tensor]]]:
    """Curve and weights as every worker has them, three clips a step."""
    gang, config = Gang(workers), TrainConfig(steps=3, clips_per_step=3, log_every=2, threads=1)
    parts = Parts([partial(pack, [clip], 0) for clip in uneven_clips()])

    def work(rank: int) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
        model = tiny.model()
        step, count = PHASES[phase](model)
        engine = GangEngine(gang, rank, model, step, config)
        curve = run_phase(phase, model, engine, lambda taken: itertools.repeat(parts), config, count=count)
        return curve.points, model.state_dict()

    return gang.run(work)


@pytest.mark.parametrize("phase", ["sft", "fpo"])
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_share_a_step_learn_what_one_would(workers: int, phase: str) -> None:
    """Two have passes to make up, four leave one without any; figures and spreads are put together."""
    ((expected, weights),) = trained_by(1, phase)
    found = trained_by(workers, phase)
    for points, same in found:
        assert points == found[0][0]
        assert points == [pytest.approx(point, rel=1e-4, abs=1e-4) for point in expected]
        for name, weight in weights.items():
            torch.testing.assert_close(same[name], weight, atol=1e-5, rtol=1e-4)


def test_a_worker_packs_only_what_falls_to_it() -> None:
    packed: list[int] = []

    def made(number: int) -> PackedBatch:
        packed.append(number)
        return pack([uneven_clips()[number % 3]], 0)

    model = tiny.model()
    step, count = sft(model)
    gang = Gang(1)
    engine = GangEngine(gang, 0, model, step, TrainConfig())
    engine._rank, gang.workers = 1, 2
    gang.gather = lambda rank, value: [value]  # type: ignore[method-assign]  # the other one is silent
    descend(engine, Parts([partial(made, number) for number in range(5)]), count, lambda *_: None)
    assert packed == [3, 4]


def test_workers_agree_that_a_loss_is_none() -> None:
    gang, config = Gang(2), TrainConfig(steps=2, clips_per_step=3, threads=1)
    parts = [pack([clip], 0) for clip in uneven_clips()]
    seen: dict[int, list[bool]] = {}

    def work(rank: int) -> str:
        model = tiny.model()
        step, count = sft(model)

        def sometimes(batch: PackedBatch) -> StepResult:
            result = step(batch)
            broken = {name: term * float("nan") for name, term in result.terms.items()}
            return replace(result, terms=broken) if batch is parts[2] else result

        def rescue(trouble: Trouble[PackedBatch]) -> Path:
            seen[rank] = [batch is parts[2] for batch in trouble.batches]
            return Path("saved")

        engine = GangEngine(gang, rank, model, sometimes, config)
        with pytest.raises(UserError) as caught:
            run_phase("sft", model, engine, lambda _: itertools.repeat(parts), config, None, count, rescue)
        return str(caught.value)

    told = "sft: the loss is nan at step 1; `d2vlm replay saved` shows where it began; lower"
    assert [error.startswith(told) for error in gang.run(work)] == [True, True]
    assert seen == {1: [True]}


def test_passes_per_step_follow_from_what_goes_together() -> None:
    def config(**changes: object) -> TrainConfig:
        return TrainConfig.model_validate({"clips_per_step": 32} | changes)

    assert (config().clips_per_pass(1), config().accumulation(1)) == (32, 1)
    assert (config(micro_batch=1).clips_per_pass(1), config(micro_batch=1).accumulation(1)) == (1, 32)
    assert (config().clips_per_pass(4), config().accumulation(4)) == (8, 1)
    assert config(micro_batch=2).accumulation(4) == 4
    with pytest.raises(ValueError, match="clips_per_step 32 does not divide among micro_batch 3 on 1 worker"):
        config(micro_batch=3)


@pytest.mark.parametrize(
    ("micro_batch", "workers", "said"),
    [
        (None, 5, "^sft: clips_per_step 32 does not divide among 5 workers: make it a multiple of 5, or"),
        (8, 8, "^sft: clips_per_step 32 .* among micro_batch 8 on 8 workers: .* multiple of 64,"),
    ],
)
def test_clips_that_workers_cannot_share_are_one_line(
    micro_batch: int | None, workers: int, said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        TrainConfig(clips_per_step=32, micro_batch=micro_batch).check_portions("sft", workers)
    assert "\n" not in str(error.value)


def test_a_loss_that_is_none_stops_the_run_before_its_gradients() -> None:
    model = tiny.model()
    _, count = sft(model)

    def broken(batch: PackedBatch) -> StepResult:
        loss = model.query_head[1].weight.sum() * float("nan")
        return StepResult(loss, {}, terms=dict.fromkeys(("token", "grounding", "consistency"), loss))

    passes = [pack([clip], 0) for clip in uneven_clips()]
    config = TrainConfig(steps=1, clips_per_step=3, micro_batch=1, threads=1)
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        engine = PlainEngine(model, broken, config)
        run_phase("sft", model, engine, lambda taken: itertools.repeat(passes), config, count=count)
    assert model.query_head[1].weight.grad is None
