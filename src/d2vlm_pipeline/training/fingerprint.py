"""Digests of what a phase starts from: encoded examples and weights, which have no file to be digested."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SCALARS = frozenset({str, int, float, bool, type(None)})


def fingerprint(value: Any) -> str:
    """SHA-256 of nested dataclasses, sequences, mappings, scalars, tensors and arrays.

    Raises:
        TypeError: there is something else in it.
    """
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: Any, value: Any) -> None:
    if type(value) in _SCALARS:
        sha.update(f"{value!r};".encode())
    elif isinstance(value, Tensor):
        data = value.detach().cpu().reshape(-1).view(torch.uint8).numpy()
        _feed_array(sha, str(value.dtype), data, value.shape)
    elif isinstance(value, np.ndarray):
        _feed_array(sha, str(value.dtype), np.ascontiguousarray(value), value.shape)
    elif is_dataclass(value):
        _feed(sha, [type(value).__name__, *(getattr(value, field.name) for field in fields(value))])
    elif isinstance(value, Mapping):
        _feed(sha, [[key, value[key]] for key in sorted(value)])
    elif isinstance(value, Sequence):
        _feed_items(sha, value)
    else:
        raise TypeError(f"no fingerprint of a {type(value).__name__}")


def _feed_items(sha: Any, items: Sequence[Any]) -> None:
    sha.update(f"{len(items)}[".encode())
    # Token ids come by the million: the text of a list is made in one go.
    if all(type(item) in _SCALARS for item in items):
        sha.update(repr(list(items)).encode())
        return
    for item in items:
        _feed(sha, item)


def _feed_array(sha: Any, dtype: str, data: np.ndarray, shape: Sequence[int]) -> None:
    sha.update(f"{dtype}{tuple(shape)}".encode())
    sha.update(data)
