"""The random states of a process, as tensors: torch's, Python's and NumPy's, which backbones may use."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def random_states() -> dict[str, Tensor]:
    """All states of this process; the one of CUDA where there is a GPU."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words]),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*map(int, keys), int(position), int(has_gauss)]),
        "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
    }
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Draw on from there."""
    torch.set_rng_state(states["torch"])
    version, *words = states["python"].tolist()
    (gauss,) = states["python_gauss"].tolist() or [None]
    random.setstate((version, tuple(words), gauss))
    *keys, position, has_gauss = states["numpy"].tolist()
    words_u32 = np.array(keys, dtype=np.uint32)
    np.random.set_state(("MT19937", words_u32, position, has_gauss, states["numpy_gauss"].item()))
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
