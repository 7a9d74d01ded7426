"""AdamW and its schedule, built from their configuration."""

from __future__ import annotations

import math

import torch
from torch import nn

from d2vlm_pipeline.training.config import OptimConfig
from d2vlm_pipeline.training.tuning import is_adapter


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


def build_schedule(
    optimiser: torch.optim.Optimizer, steps: int, config: OptimConfig
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rates of a phase of so many steps."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda at: lr_share(at, steps, config))


def lr_share(at: int, steps: int, config: OptimConfig) -> float:
    """Share of the peak learning rate after ``at`` of ``steps`` steps."""
    warmup = max(1, round(config.warmup_share * steps))
    if at < warmup:
        return (at + 1) / warmup
    progress = (at - warmup) / max(1, steps - warmup)
    return config.final_share + (1.0 - config.final_share) * 0.5 * (
        1.0 + math.cos(math.pi * min(1.0, progress))
    )
