"""Gradient checkpointing of decoder layers that fill and read a cache.

transformers drops the cache where it checkpoints: recomputing a layer would put its keys and values in twice.
Here a layer sees only what its own slot held before the pass, so that it can be run any number of times; its
new keys and values come out of the checkpoint as outputs and enter the cache once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.prefix import PrefixCache

KeysValues = tuple[Tensor, Tensor]


class _Slot:
    """Keys and values that one layer finds, and those that it adds."""

    def __init__(self, found: KeysValues | None) -> None:
        self._found = found
        self.added: KeysValues | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> KeysValues:
        """Keys and values so far, with these; what was found stays as it is."""
        self.added = key_states, value_states
        if self._found is None:
            return self.added
        keys, values = self._found
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


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

    def run(hidden: Tensor, *args: Any, past_key_values: DynamicCache, **kwargs: Any) -> Any:
        ends_here = isinstance(past_key_values, PrefixCache) and past_key_values.ends_in(number)
        if ends_here or not torch.is_grad_enabled():
            return forward(hidden, *args, past_key_values=past_key_values, **kwargs)
        found = _found(past_key_values, number)

        def compute(hidden: Tensor) -> tuple[Any, KeysValues | None]:
            slot = _Slot(found)
            return forward(hidden, *args, past_key_values=slot, **kwargs), slot.added

        output, added = checkpoint(compute, hidden, use_reentrant=False)
        if added is not None:
            past_key_values.update(*added, number)
        return output

    return run


def _found(cache: DynamicCache, number: int) -> KeysValues | None:
    """What the cache holds for a layer before it runs.

    Raises:
        UserError: the layer keeps something else than keys and values.
    """
    if number >= len(cache.layers):
        return None
    layer = cache.layers[number]
    if not isinstance(layer, DynamicLayer):
        raise UserError(f"gradient_checkpointing: layer {number} keeps no keys and values; set it to false")
    return None if layer.keys is None or layer.values is None else (layer.keys, layer.values)
