"""The base of every encoder's configuration: a value becomes the class that its `kind` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from d2vlm_pipeline.artifacts import StrictModel, UserError

if TYPE_CHECKING:
    import numpy as np
    import torch

Device = Literal["auto", "cpu", "cuda"]


class EncoderConfig(StrictModel):
    """Which encoder, pooled to what grid of tokens per frame.

    A base class rather than a union: Kedro hands parameters over as models only where the type of the node's
    argument is one class.
    """

    kind: str
    grid: int = Field(ge=2)
    batch_frames: int = Field(ge=1)

    @property
    def digest(self) -> str:
        """Identity of what is computed; what only says how does not change it."""
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        if cls is not EncoderConfig or not isinstance(value, dict):
            return handler(value)
        kinds = {known.model_fields["kind"].default: known for known in EncoderConfig.__subclasses__()}
        if value.get("kind") not in kinds:
            known = ", ".join(sorted(kinds))
            named = {"kind": repr(value.get("kind")), "known": known}
            raise PydanticCustomError("kind", "no encoder of kind {kind}; use one of {known}", named)
        return kinds[value["kind"]].model_validate(value)


def device_of(device: Device) -> str:
    """Where an encoder computes: ``auto`` is the GPU where torch has one.

    Raises:
        UserError: a GPU is asked for, and torch has none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("encoder.device is cuda, but torch finds no GPU; set it to auto or cpu")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def encode_in_batches(
    frames_THWC: np.ndarray, side_px: int, batch_frames: int, encode: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    """Features [T, N, C] of all frames, ``batch_frames`` at a time.

    Raises:
        ValueError: frames are not uint8 [T, side_px, side_px, 3].
    """
    import torch

    if frames_THWC.dtype != "uint8" or frames_THWC.shape[1:] != (side_px, side_px, 3):
        raise ValueError(
            f"frames must be uint8 [T, {side_px}, {side_px}, 3], got {frames_THWC.dtype} {frames_THWC.shape}"
        )
    with torch.inference_mode():
        batches = torch.from_numpy(frames_THWC).split(batch_frames)
        return torch.cat([encode(batch).cpu() for batch in batches]).numpy()
