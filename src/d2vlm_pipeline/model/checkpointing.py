"""Gradient checkpointing of decoder layers that fill a cache.

transformers drops the cache where it checkpoints: recomputing a layer would put its keys and values in twice.
Here the new keys and values come out of the checkpoint as outputs and enter the cache once. Branches read the
prefix's from there and add nothing (`branches`), so that their layers can be run any number of times as they
are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.prefix import PrefixCache

KeysValues = tuple[Tensor, Tensor]


class _Slot:
    """Stands for an empty cache: keeps the keys and values that one layer adds."""

    def __init__(self) -> None:
        self.added: KeysValues | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> KeysValues:
        """What a cache would give back: these alone."""
        self.added = key_states, value_states
        return self.added


@contextmanager
def checkpointed(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the block, the layers keep only their inputs for the backward pass and compute the rest again.

    The last layer's pass over a prefix ends at its keys and values and is too short to be worth it.
    """
    for number, layer in enumerate(layers):
        vars(layer)["forward"] = _checkpointing(layer.forward, number)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _checkpointing(forward: Callable[..., Any], number: int) -> Callable[..., Any]:
    """The forward of the layer of that number, checkpointed wherever a backward pass may follow."""

    def run(hidden: Tensor, *args: Any, past_key_values: DynamicCache | None = None, **kwargs: Any) -> Any:
        ends_here = isinstance(past_key_values, PrefixCache) and past_key_values.ends_in(number)
        if ends_here or not torch.is_grad_enabled():
            return forward(hidden, *args, past_key_values=past_key_values, **kwargs)
        if past_key_values is None:
            return checkpoint(partial(forward, **kwargs), hidden, *args, use_reentrant=False)

        def compute(hidden: Tensor) -> tuple[Any, KeysValues | None]:
            slot = _Slot()
            return forward(hidden, *args, past_key_values=slot, **kwargs), slot.added

        output, added = checkpoint(compute, hidden, use_reentrant=False)
        if added is None:
            raise UserError(f"gradient_checkpointing: layer {number} keeps no keys and values; switch it off")
        past_key_values.update(*added, number)
        return output

    return run
