"""Loading a pretrained model with all of its weights, or not at all."""

from __future__ import annotations

from typing import Any

import torch


def load_whole(auto: Any, path: str, revision: str | None, dtype: torch.dtype) -> Any:
    """A model by one of transformers' automatic classes, from safetensors alone.

    transformers fills what a checkpoint lacks at random, and says so in a log that nobody reads.

    Raises:
        ValueError: weights are missing, or of another size.
        OSError: nothing can be loaded from there.
        SafetensorError: a file is damaged.
    """
    model, report = auto.from_pretrained(
        path,
        revision=revision,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported, and refused below: otherwise they end in a traceback
    )
    lacking = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    if lacking:
        raise ValueError(f"{len(lacking)} of its weights are missing or of another size, first {lacking[0]}")
    return model
