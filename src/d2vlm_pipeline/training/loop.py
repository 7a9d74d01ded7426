"""The training loop: one for every phase. What a phase computes is a step function that it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import UserError, derive_seed, track
from d2vlm_pipeline.training.config import OptimConfig, TrainConfig


@dataclass(frozen=True)
class StepResult:
    """Loss to descend and figures to log."""

    loss: Tensor
    figures: dict[str, Tensor]


_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Curve:
    """Logged means: one entry per ``log_every`` steps."""

    points: list[dict[str, float]]


def run_phase(
    name: str,
    model: nn.Module,
    step: Callable[[_Batch], StepResult],
    data: Iterator[_Batch],
    config: TrainConfig,
) -> Curve:
    """Train in place for ``config.steps`` steps and return the curve.

    Raises:
        UserError: the loss stopped being finite.
    """
    torch.set_num_threads(config.threads)
    # Gradients of indexed rows are summed by threads in any order otherwise: same seed, other weights.
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(derive_seed(config.seed, name) % 2**63)
    model.train()
    optimiser = build_optimiser(model, config.optim)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda at: lr_share(at, config.steps, config.optim)
    )
    points: list[dict[str, float]] = []
    window: list[dict[str, Tensor]] = []
    for at in track(range(1, config.steps + 1), name, unit="step"):
        result = step(next(data))
        if not torch.isfinite(result.loss):
            raise UserError(
                f"{name}: the loss is {result.loss.item()} at step {at}; lower optim.learning_rate"
            )
        optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        optimiser.step()
        schedule.step()
        window.append({"loss": result.loss.detach(), "grad_norm": norm, **result.figures})
        if at % config.log_every == 0 or at == config.steps:
            points.append({"step": float(at), "lr": float(schedule.get_last_lr()[0]), **_means(window)})
            window.clear()
    model.eval()
    return Curve(points)


def build_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW; vectors (norms, biases) do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)


def lr_share(at: int, steps: int, config: OptimConfig) -> float:
    """Share of the peak learning rate after ``at`` of ``steps`` steps."""
    warmup = max(1, round(config.warmup_share * steps))
    if at < warmup:
        return (at + 1) / warmup
    progress = (at - warmup) / max(1, steps - warmup)
    return config.final_share + (1.0 - config.final_share) * 0.5 * (
        1.0 + math.cos(math.pi * min(1.0, progress))
    )


def _means(window: list[dict[str, Tensor]]) -> dict[str, float]:
    return {
        name: float(torch.stack([figures[name].detach().float() for figures in window]).mean())
        for name in window[0]
    }
