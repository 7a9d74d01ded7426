"""The training loop: one for every phase. What a phase computes is a step function that it is given."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import UserError, derive_seed, track
from d2vlm_pipeline.training.accumulation import Count, StepResult, descend
from d2vlm_pipeline.training.config import LoopConfig, OptimConfig
from d2vlm_pipeline.training.tuning import is_adapter

_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Curve:
    """Logged means and quantiles: one entry per ``log_every`` steps."""

    points: list[dict[str, float]]


Watch = Callable[[Sequence[dict[str, float]]], Sequence[str]]
"""From the points so far, the last one new, to warnings about it."""


@dataclass(frozen=True)
class Trouble(Generic[_Batch]):
    """A step that must not be taken: why, of which batches, and the random state before it."""

    step: int
    reason: str
    batches: Sequence[_Batch]
    random_state: Tensor


Rescue = Callable[[Trouble[_Batch]], Path]
"""Saves what went wrong together with the model; returns where."""

_LOG = logging.getLogger(__name__)
_QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def run_phase(
    name: str,
    model: nn.Module,
    step: Callable[[_Batch], StepResult],
    data: Iterator[Sequence[_Batch]],
    config: LoopConfig,
    watch: Watch | None = None,
    count: Count[_Batch] | None = None,
    rescue: Rescue[_Batch] | None = None,
) -> Curve:
    """Train in place for ``config.steps`` steps and return the curve; say what the watch makes of it.

    Behind it the model is in evaluation mode, after a failure as well.

    Args:
        name: Of the phase.
        model: What is trained.
        step: What is computed of a batch.
        data: The batches of every step; gradients of several are added up.
        config: How long, and how.
        watch: Warns about the curve.
        count: What the terms of the loss are means over; needed where a step has several batches.
        rescue: Saves a step that goes wrong.

    Raises:
        UserError: the loss or the gradient stopped being finite. The weights are those before that step.
    """
    torch.set_num_threads(config.threads)
    # Gradients of indexed rows are summed by threads in any order otherwise: same seed, other weights.
    torch.use_deterministic_algorithms(True)
    # Otherwise every new tensor would be filled first, for the sake of code that reads what nobody wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(derive_seed(config.seed, name) % 2**63)
    model.train()
    try:
        return Curve(_points(name, model, step, data, config, watch, count, rescue))
    finally:
        model.eval()


def _points(
    name: str,
    model: nn.Module,
    step: Callable[[_Batch], StepResult],
    data: Iterator[Sequence[_Batch]],
    config: LoopConfig,
    watch: Watch | None,
    count: Count[_Batch] | None,
    rescue: Rescue[_Batch] | None,
) -> list[dict[str, float]]:
    """Train, and log what was seen; see `run_phase`."""
    optimiser = build_optimiser(model, config.optim)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda at: lr_share(at, config.steps, config.optim)
    )
    points: list[dict[str, float]] = []
    window: list[dict[str, Tensor]] = []
    spreads: list[dict[str, Tensor]] = []
    for at in track(range(1, config.steps + 1), name, unit="step"):
        random_state, batches = torch.get_rng_state(), next(data)
        require = partial(_require_finite, name, at, batches, random_state, rescue)
        optimiser.zero_grad(set_to_none=True)
        result = descend(step, batches, count, partial(require, "the loss"))
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        require("the gradient's norm", norm)
        optimiser.step()
        schedule.step()
        window.append({"loss": result.loss.detach(), "grad_norm": norm, **result.figures})
        spreads.append(result.spreads)
        if at % config.log_every == 0 or at == config.steps:
            rate = float(schedule.get_last_lr()[0])
            points.append({"step": float(at), "lr": rate, **_means(window), **_quantiles(spreads)})
            window.clear()
            spreads.clear()
            for warning in watch(points) if watch else ():
                _LOG.warning("%s: %s", name, warning)
    return points


def _require_finite(
    name: str,
    at: int,
    batches: Sequence[_Batch],
    random_state: Tensor,
    rescue: Rescue[_Batch] | None,
    what: str,
    value: Tensor,
) -> None:
    """End the phase where a number is none, what it was computed of saved."""
    if torch.isfinite(value):
        return
    reason = f"{what} is {value.item()}"
    seen = ""
    if rescue is not None:
        seen = f"`d2vlm replay {rescue(Trouble(at, reason, batches, random_state))}` shows where it began; "
    raise UserError(f"{name}: {reason} at step {at}; {seen}lower optim.learning_rate")


def build_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW; vectors (norms, biases) do not decay, adapters may have a learning rate of their own."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = []
    for is_lora, rate in ((False, config.learning_rate), (True, config.lora_learning_rate)):
        given = [parameter for name, parameter in trained if is_adapter(name) == is_lora]
        for is_matrix, decay in ((True, config.weight_decay), (False, 0.0)):
            found = [parameter for parameter in given if (parameter.ndim >= 2) == is_matrix]
            if found or not is_lora:
                groups.append({"params": found, "weight_decay": decay, "lr": rate or config.learning_rate})
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


def _quantiles(window: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Mean and quantiles of every spread over the window; a spread without values says nothing."""
    found: dict[str, float] = {}
    for name in sorted({name for spreads in window for name in spreads}):
        values = torch.cat(
            [spreads[name].detach().float().flatten() for spreads in window if name in spreads]
        )
        if len(values):
            found[name] = float(values.mean())
            found |= {f"{name}_{tag}": float(values.quantile(share)) for tag, share in _QUANTILES.items()}
    return found
