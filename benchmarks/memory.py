"""Bytes of tensors alive at once, counted as they are made and freed: the same figure on every run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveBytes(TorchDispatchMode):
    """Follows every storage that an operation inside the block makes, from its birth to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._followed: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {leaf.untyped_storage() for leaf in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for leaf in _tensors(result):
            storage = leaf.untyped_storage()
            if storage not in given and storage not in self._followed:
                self._followed.add(storage)
                self._change(storage.nbytes())
                weakref.finalize(storage, self._change, -storage.nbytes())
        return result

    def _change(self, count: int) -> None:
        self._now += count
        self.peak = max(self.peak, self._now)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def peak_bytes(run: Callable[[], object]) -> int:
    """Most bytes alive at once of tensors that are made while it runs, gradients included."""
    gc.collect()
    with _LiveBytes() as live:
        run()
    return live.peak
