"""From decoded frames to what a vision model was trained on: its image processor's steps in plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason
from d2vlm_pipeline.features.pretrained import first_line, quiet_transformers

if TYPE_CHECKING:
    import torch

_FILTERS: dict[Any, str] = {2: "bilinear", 3: "bicubic"}
"""By the numbers that Pillow gives them."""


class Preprocessing(StrictModel):
    """Resize to a square, cut out its middle, scale, normalise by channel."""

    resize_px: PositiveInt
    crop_px: PositiveInt
    resample: Literal["bilinear", "bicubic"]
    scale: float = Field(gt=0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @model_validator(mode="after")
    def _check_crop(self) -> Self:
        if self.crop_px > self.resize_px:
            raise ValueError(f"cuts {self.crop_px} pixels out of {self.resize_px}")
        return self

    def __call__(self, frames_THWC: torch.Tensor) -> torch.Tensor:
        """uint8 [T, S, S, 3] → float [T, 3, P, P], P = crop_px."""
        import torch
        from torch.nn import functional

        frames_TCHW = frames_THWC.permute(0, 3, 1, 2).float()
        if frames_TCHW.shape[-1] != self.resize_px:
            resized = functional.interpolate(
                frames_TCHW, size=self.resize_px, mode=self.resample, antialias=True, align_corners=False
            )
            # Pillow keeps whole levels, and bicubic weights overshoot.
            frames_TCHW = resized.round().clamp(0.0, 255.0)
        edge = (self.resize_px - self.crop_px) // 2
        middle = frames_TCHW[:, :, edge : edge + self.crop_px, edge : edge + self.crop_px]
        mean, std = (
            torch.tensor(values, device=middle.device)[:, None, None] for values in (self.mean, self.std)
        )
        return (middle * self.scale - mean) / std


def read_preprocessing(folder: Path, image_px: int) -> Preprocessing:
    """What the image processor that lies beside a model does; ``image_px`` where it leaves sizes alone.

    Raises:
        UserError: there is none, or it does what is not done here.
    """
    from transformers import AutoImageProcessor

    try:
        with quiet_transformers():
            record = AutoImageProcessor.from_pretrained(folder).to_dict()
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder {folder}: no preprocessor_config.json that can be read ({first_line(error)}); "
            "fetch it with the weights"
        ) from None
    try:
        return _of_record(record, image_px)
    except ValidationError as error:
        raise UserError(
            f"encoder {folder}: its preprocessor_config.json asks for what is not done here "
            f"({validation_reason(error)}); use a model whose images are squares of one size"
        ) from None


def _of_record(record: dict[str, Any], image_px: int) -> Preprocessing:
    crop_px = _side(record.get("crop_size")) if record.get("do_center_crop") else None
    resize_px = _side(record.get("size")) if record.get("do_resize") else crop_px or image_px
    normalises, scales = record.get("do_normalize"), record.get("do_rescale")
    asked = {
        "resize_px": resize_px,
        "crop_px": crop_px or resize_px,
        "resample": _FILTERS.get(record.get("resample"), record.get("resample")),
        "scale": record.get("rescale_factor") if scales else 1.0,
        "mean": record.get("image_mean") if normalises else (0.0, 0.0, 0.0),
        "std": record.get("image_std") if normalises else (1.0, 1.0, 1.0),
    }
    return Preprocessing.model_validate(asked)


def _side(size: Any) -> Any:
    """Side of what a square frame becomes, or the size as it is where that is no square."""
    sides = {name: side for name, side in (size or {}).items() if side is not None}
    if "shortest_edge" in sides:
        return sides["shortest_edge"]
    return sides["height"] if sides.keys() == {"height", "width"} and len({*sides.values()}) == 1 else sides
