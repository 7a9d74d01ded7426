"""The loop: schedule, optimiser, curve, and what it does when a loss goes wrong."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import LoopConfig, OptimConfig, TrainConfig
from d2vlm_pipeline.training.curve import Curve
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.loop import run_phase
from d2vlm_pipeline.training.optimiser import build_optimiser, lr_share


def config(steps: int = 10, log_every: int = 4, **optim: float) -> TrainConfig:
    return TrainConfig(steps=steps, log_every=log_every, threads=1, optim=OptimConfig(**optim))


def line(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def points(taken: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    for step in itertools.count(taken):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        yield [(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]))]


def run(
    name: str,
    model: nn.Module,
    step: Callable[[Any], StepResult],
    config: LoopConfig,
    data: Callable[[int], Iterator[Sequence[Any]]] = points,
) -> Curve:
    return run_phase(name, model, PlainEngine(model, step, config), data, config)


def squares(model: nn.Module):
    def step(batch: tuple[Tensor, Tensor]) -> StepResult:
        loss = (model(batch[0]) - batch[1]).square().mean()
        return StepResult(loss, {"twice": 2 * loss})

    return step


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    optim = OptimConfig(warmup_share=0.1, final_share=0.2)
    shares = [lr_share(at, 100, optim) for at in range(101)]
    assert shares[:10] == pytest.approx([0.1 * (at + 1) for at in range(10)])
    assert shares[10] == 1.0
    assert shares[55] == pytest.approx(0.6)  # half way down from 1 to 0.2
    assert shares[100] == pytest.approx(0.2)


@given(steps=st.integers(1, 300), warmup=st.floats(0, 0.99), final=st.floats(0, 1))
def test_the_rate_has_one_peak_and_keeps_its_floor(steps: int, warmup: float, final: float) -> None:
    optim = OptimConfig(warmup_share=warmup, final_share=final)
    shares = [lr_share(at, steps, optim) for at in range(steps + 10)]
    assert shares[0] > 0 and max(shares) == 1.0
    assert all(min(shares[0], final) <= share <= 1 for share in shares)
    rises = [after > before for before, after in itertools.pairwise(shares) if abs(after - before) > 1e-9]
    assert rises == sorted(rises, reverse=True)
    if round(warmup * steps) < steps > 1:
        assert shares[steps:] == pytest.approx([final] * 10)


def test_only_matrices_decay_and_frozen_weights_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    model[2].requires_grad_(False)
    decaying, steady = build_optimiser(model, OptimConfig(weight_decay=0.3)).param_groups
    assert [id(p) for p in decaying["params"]] == [id(model[0].weight)]
    assert {id(p) for p in steady["params"]} == {id(model[0].bias), id(model[1].weight), id(model[1].bias)}
    assert (decaying["weight_decay"], steady["weight_decay"]) == (0.3, 0.0)


def test_adapters_have_a_learning_rate_of_their_own() -> None:
    adapter = nn.ModuleDict({"lora_A": nn.ModuleDict({"default": nn.Linear(3, 2, bias=False)})})
    model = nn.ModuleDict({"q_proj": adapter, "head": line()})
    lora, head = (model.get_parameter(name) for name in ("q_proj.lora_A.default.weight", "head.weight"))

    def rates(**optim: float) -> dict[int, float]:
        groups = build_optimiser(model, OptimConfig(learning_rate=2e-5, **optim)).param_groups
        return {id(parameter): group["lr"] for group in groups for parameter in group["params"]}

    both = rates(lora_learning_rate=5e-5)
    assert both == {id(lora): 5e-5, id(head): 2e-5, id(model.get_parameter("head.bias")): 2e-5}
    assert set(rates().values()) == {2e-5}


def test_the_curve_has_a_mean_for_every_stretch_and_the_last() -> None:
    model = line()
    losses: list[float] = []

    def step(batch: tuple[Tensor, Tensor]) -> StepResult:
        result = squares(model)(batch)
        losses.append(result.loss.item())
        return result

    curve = run("fit", model, step, config(steps=10, log_every=4)).points
    assert [point["step"] for point in curve] == [4, 8, 10]
    stretches = losses[:4], losses[4:8], losses[8:]
    assert [point["loss"] for point in curve] == pytest.approx([sum(part) / len(part) for part in stretches])
    assert [point["twice"] for point in curve] == pytest.approx([2 * point["loss"] for point in curve])
    assert all(point["grad_norm"] > 0 for point in curve)
    assert curve[-1]["lr"] == pytest.approx(1e-3 * 0.05)


def test_a_phase_ends_in_evaluation_mode_having_learned() -> None:
    model = line()
    first, last = run("fit", model, squares(model), config(100, 50, learning_rate=0.1)).points
    assert last["loss"] < 0.05 * first["loss"]
    assert not model.training


def test_no_step_is_longer_than_the_clipped_gradient() -> None:
    """A loss a million times larger moves AdamW's first step no further, and is logged as it was."""
    model, start = line(), line()

    def step(batch: tuple[Tensor, Tensor]) -> StepResult:
        return StepResult(1e6 * squares(model)(batch).loss, {})

    (point,) = run("fit", model, step, config(1, 1, learning_rate=0.01)).points
    assert point["grad_norm"] > 1e5
    assert (model.weight - start.weight).abs().max() < 0.011


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_phase_before_it_spoils_the_weights(bad: float) -> None:
    model = line()
    count = itertools.count(1)
    kept: list[Tensor] = []

    def step(batch: tuple[Tensor, Tensor]) -> StepResult:
        kept.append(model.weight.detach().clone())
        scale = bad if next(count) == 3 else 1.0
        return StepResult(scale * squares(model)(batch).loss, {})

    with pytest.raises(UserError, match=rf"fit: the loss is {bad} at step 3; lower optim\.learning_rate"):
        run("fit", model, step, config())
    assert torch.equal(model.weight, kept[-1])


def test_a_phase_follows_from_its_seed_whatever_was_drawn_before() -> None:
    def weights(seed: int, name: str = "fit") -> list[float]:
        model = nn.Sequential(line(), nn.Dropout(0.0))
        drop = nn.Dropout(0.5)

        def step(batch: tuple[Tensor, Tensor]) -> StepResult:
            return StepResult((model(drop(batch[0])) - batch[1]).square().mean(), {})

        torch.rand(seed + 5)
        run(name, model, step, TrainConfig(seed=seed, steps=5, threads=1))
        return model[0].weight.flatten().tolist()

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)
    assert weights(1) != weights(1, "other")


class Table(nn.Module):
    """Rows that a batch picks many times over: threads that sum their gradients race for the order."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.rows = nn.Parameter(torch.randn(7, 64, generator=generator))

    def forward(self, index: Tensor, factor: Tensor) -> Tensor:
        return (self.rows[index] * factor).sin().mean()


def test_two_threads_give_the_same_weights_every_time() -> None:
    generator = torch.Generator().manual_seed(1)
    batch = torch.randint(7, (50_000,), generator=generator), torch.randn(50_000, 64, generator=generator)
    config = TrainConfig(steps=3, threads=2, optim=OptimConfig(learning_rate=0.1))

    def trained() -> Tensor:
        table = Table()

        def step(batch: tuple[Tensor, Tensor]) -> StepResult:
            return StepResult(table(*batch), {})

        run("rows", table, step, config, lambda taken: itertools.repeat([batch]))
        return table.rows.detach()

    first = trained()
    assert all(torch.equal(first, trained()) for _ in range(3))
