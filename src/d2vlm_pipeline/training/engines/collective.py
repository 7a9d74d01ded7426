"""What workers tell one another, by PyTorch's process group."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def total(values: Tensor, device: torch.device) -> Tensor:
    """Sum over workers, elementwise; messages go from device to device."""
    summed = values.detach().to(device, copy=True)
    dist.all_reduce(summed)
    return summed.to(values.device)


def gather(value: Any, workers: int) -> list[Any]:
    """What every worker gives, in the order of their numbers."""
    given: list[Any] = [None] * workers
    dist.all_gather_object(given, value)
    return given
