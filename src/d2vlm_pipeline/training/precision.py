"""Where a phase computes, and with how many bits.

In bfloat16 the matrix products of a step run under autocast. What trains stays in single precision; matrices
of the backbone that do not train are held in bfloat16, which halves their memory and is what most hub models
were published in.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import nn

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.training.config import TrainConfig

_LOG = logging.getLogger(__name__)
_CPU = torch.device("cpu")


class Movable(Protocol):
    """A batch."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""
        ...


_Batch = TypeVar("_Batch", bound=Movable)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Compute:
    """A device and the type of its matrix products."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, config: TrainConfig) -> Compute:
        """What a phase is configured to run on; `auto` takes CUDA, and bfloat16 where that has it.

        Raises:
            UserError: CUDA is asked for where there is none.
        """
        has_cuda = torch.cuda.is_available()
        if config.device == "cuda" and not has_cuda:
            raise UserError("device cuda: torch finds no GPU here; set it to auto or cpu")
        device = torch.device("cuda") if has_cuda and config.device != "cpu" else _CPU
        if device.type == "cuda":
            # Deterministic algorithms need it, and it is read when cuBLAS starts.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        wants_half = config.precision == "bfloat16"
        if config.precision == "auto":
            wants_half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        elif wants_half and device.type == "cpu":
            _LOG.warning("precision bfloat16 on a CPU is slow unless it has instructions for it (AMX)")
        return cls(device, torch.bfloat16 if wants_half else torch.float32)

    @property
    def is_mixed(self) -> bool:
        """Whether products are computed with fewer bits than weights are trained with."""
        return self.dtype != torch.float32

    @contextmanager
    def holding(self, model: D2VLM, *others: nn.Module | None) -> Iterator[None]:
        """Inside the block the models lie on the device, and what does not train of the first is small.

        Behind it everything is on the CPU again, in single precision.
        """
        held = [model, *(other for other in others if other is not None)]
        try:
            if self.is_mixed:
                _convert(frozen_matrices(model), self.dtype)
            for each in held:
                each.to(self.device)
            yield
        finally:
            for each in held:
                each.to(_CPU)
            if self.is_mixed:
                _convert(frozen_matrices(model), torch.float32)

    def running(self, step: Callable[[_Batch], _Result]) -> Callable[[_Batch], _Result]:
        """The step on this device, with products of this type."""

        def run(batch: _Batch) -> _Result:
            moved = batch.to(self.device)
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.is_mixed):
                return step(moved)

        return run


def frozen_matrices(model: D2VLM) -> list[nn.Parameter]:
    """The backbone's matrices that do not train; vectors are few, and norms want their bits."""
    return [p for p in model.backbone.parameters() if p.ndim >= 2 and not p.requires_grad]


def _convert(parameters: list[nn.Parameter], dtype: torch.dtype) -> None:
    for parameter in parameters:
        parameter.data = parameter.data.to(dtype)
