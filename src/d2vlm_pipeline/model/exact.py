"""Where mixed precision stops: heads, similarities and likelihoods are computed in single precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def exactly(beside: Tensor) -> AbstractContextManager[object]:
    """No autocast inside the block, on the device of a tensor."""
    device = beside.device.type
    # Entering the context takes longer than a small product.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def at_least_single(values: Tensor) -> Tensor:
    """Half-precision values in single precision, others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
