"""The pass over a prefix stops where nobody reads on.

Branches attend to a prefix through its keys and values, and evidence reads its frames' states at two layers.
Of the last layer only keys and values are ever read: its attention, output and MLP over the prefix would be
thrown away. The pass ends as soon as they are in the cache, for every backbone that fills one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache


class PrefixDone(Exception):
    """The last layer's keys and values are in the cache."""


class PrefixCache(DynamicCache):
    """A cache that ends the first pass at the last layer's keys and values."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self._last = layers - 1
        self._is_filling = True

    def ends_in(self, layer: int) -> bool:
        """Whether the pass that runs will end in the layer of that number."""
        return self._is_filling and layer == self._last

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Keys and values so far, with these.

        Raises:
            PrefixDone: these were the last that the first pass has to leave here.
        """
        found: tuple[Tensor, Tensor] = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if self.ends_in(layer_idx):
            self._is_filling = False
            raise PrefixDone
        return found


def keys_and_values(cache: DynamicCache, layer: int) -> tuple[Tensor, Tensor]:
    """What a cache that was filled holds of a layer, [B, H, L, D] each."""
    held: Any = cache.layers[layer]
    return held.keys, held.values


def rows_of(cache: DynamicCache, row_R: Tensor) -> DynamicCache:
    """A cache of its own with what a cache that was filled holds of these rows."""
    found = DynamicCache()
    for layer in range(len(cache)):
        keys, values = keys_and_values(cache, layer)
        found.update(keys.index_select(0, row_R), values.index_select(0, row_R), layer)
    return found


@contextmanager
def inputs_of(layers: Sequence[nn.Module], wanted: set[int]) -> Iterator[dict[int, Tensor]]:
    """Collects what the layers of these numbers are given inside the block."""
    found: dict[int, Tensor] = {}

    def keep(number: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found[number] = args[0] if args else kwargs["hidden_states"]

        return hook

    handles = [
        layers[number].register_forward_pre_hook(keep(number), with_kwargs=True) for number in sorted(wanted)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
