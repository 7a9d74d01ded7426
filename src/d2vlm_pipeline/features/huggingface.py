"""Any Hugging Face vision transformer as frame encoder: SigLIP, SigLIP-2, CLIP, DINOv2 and their like.

A frame's patch tokens behind a chosen layer, averaged over a small grid. What stands before them (a class
token, registers) is dropped: it belongs to no place. Layers behind the chosen one do not run.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import UserError, digest_json
from d2vlm_pipeline.features.config import Device, EncoderConfig, device_of, encode_in_batches
from d2vlm_pipeline.features.pixels import read_preprocessing
from d2vlm_pipeline.features.pretrained import (
    encoder_config,
    first_line,
    pretrained_folder,
    quiet_transformers,
    tower_settings,
    weights_digest,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

# Raised whenever the same pixels would give other features.
_VERSION = 1
_NAFLEX = ("siglip2", "siglip2_vision_model")
# Vision towers that the library builds by name only. The second is the published encoder (method.md §1.1).
_BY_NAME = {"blip_2_vision_model": "Blip2VisionModel", "instructblip_vision_model": "InstructBlipVisionModel"}
# Behind the last layer: never run, so that it may be missing.
_BEHIND = ("pooler.", "head.", "layernorm.", "post_layernorm.")
_NEEDED = ("hidden_size", "num_hidden_layers", "patch_size", "image_size")


class HuggingFaceConfig(EncoderConfig):
    """A vision transformer, alone or within a CLIP-like model.

    Attributes:
        path: a folder in the Hugging Face layout, or the id of a hub repository.
        revision: a commit, tag or branch of the hub repository.
        layer: whose output is taken, counted from the last (-1); the published encoder takes the one before
            it (method.md §1.1).
        grid: rows and columns of tokens that a frame's patches are averaged to.
        input_px: side of the decoded frames; by default what the model's preprocessing resizes to, so that
            nothing is resized twice.
        batch_frames: frames that pass the model together.
        device: where it computes; results agree up to rounding.
    """

    kind: Literal["huggingface"] = "huggingface"
    path: str = Field(min_length=1)
    revision: str | None = None
    layer: int = Field(default=-2, le=-1)
    grid: int = Field(default=3, ge=2)
    input_px: int | None = Field(default=None, ge=16)
    batch_frames: int = Field(default=16, ge=1)
    device: Device = "auto"

    @property
    def digest(self) -> str:
        """See `EncoderConfig.digest`; where the weights lie is none of it, their content is."""
        what = {"kind": self.kind, "layer": self.layer, "grid": self.grid, "px": self.input_px}
        return digest_json({"version": _VERSION, **what})


class HuggingFaceEncoder:
    """Encodes frames with the vision transformer of a folder.

    Raises:
        UserError: there is none, it does not cut frames into patches, or layer and grid do not suit it.
    """

    def __init__(self, config: HuggingFaceConfig) -> None:
        self._config = config
        self._folder = pretrained_folder(config.path, config.revision, "encoder")
        self._settings = vision_settings(encoder_config(self._folder), str(self._folder))
        self._pixels = read_preprocessing(self._folder, self._settings.image_size)
        self._depth = self._settings.num_hidden_layers + 1 + config.layer
        self._side = self._pixels.crop_px // self._settings.patch_size
        check_sizes(config, self._settings, self._side)

    @property
    def input_px(self) -> int:
        """See `FrameEncoder.input_px`."""
        return self._config.input_px or self._pixels.resize_px

    @property
    def shape_NC(self) -> tuple[int, int]:
        """``grid²`` tokens of the model's width."""
        return self._config.grid**2, self._settings.hidden_size

    @property
    def device(self) -> str:
        """See `FrameEncoder.device`."""
        return device_of(self._config.device)

    @cached_property
    def digest(self) -> str:
        """Configuration, preprocessing, architecture and weights."""
        return digest_json(
            {
                "config": self._config.digest,
                "pixels": self._pixels,
                "settings": tower_settings(self._folder),
                "weights": weights_digest(self._folder),
            }
        )

    @cached_property
    def _net(self) -> Any:
        net = _load(self._folder, self._settings)
        side, reads = self._pixels.crop_px, self._settings.image_size
        # Models that always interpolate their positions, as DINOv2, read any size.
        if side != reads and "interpolate_pos_encoding" in signature(net.forward).parameters:
            raise UserError(
                f"encoder {self._folder}: its preprocessor_config.json gives {side} pixels, but the model "
                f"reads {reads}; fetch both again"
            )
        return net.to(self.device)

    def encode(self, frames_THWC: np.ndarray) -> np.ndarray:
        """See `FrameEncoder.encode`.

        Raises:
            ValueError: frames are not uint8 [T, input_px, input_px, 3].
            UserError: the weights cannot be loaded, or the model does not give a token per patch.
        """
        return encode_in_batches(frames_THWC, self.input_px, self._config.batch_frames, self._encode_batch)

    def _encode_batch(self, frames_THWC: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        pixels_TCHW = self._pixels(frames_THWC.to(self.device))
        hidden = hidden_state(self._net, pixels_TCHW, self._settings, self._depth)
        patches = self._side**2
        if hidden.ndim != 3 or hidden.shape[1] < patches:
            raise UserError(
                f"encoder {self._folder}: a layer gives {list(hidden.shape[1:])} per frame, not a token for "
                f"each of {patches} patches; use a plain vision transformer"
            )
        maps_TCHW = hidden[:, -patches:].transpose(1, 2).unflatten(2, (self._side, self._side))
        pooled = functional.adaptive_avg_pool2d(maps_TCHW, self._config.grid)
        return pooled.flatten(2).transpose(1, 2).half().contiguous()


class _Reached(Exception):
    """The layer that is wanted has run."""


def hidden_state(net: Any, pixels_TCHW: torch.Tensor, settings: Any, depth: int) -> torch.Tensor:
    """Output of the layer of that number, counted from 1; nothing behind it is computed.

    Raises:
        UserError: the model's layers are not to be found in a list.
    """
    from torch import nn

    count = settings.num_hidden_layers
    lists = [part for part in net.modules() if isinstance(part, nn.ModuleList) and len(part) == count]
    if not lists:
        raise UserError(
            f"encoder {settings.model_type}: its {count} layers are in no list; use SigLIP, CLIP, DINOv2 or "
            "their like"
        )
    found: list[torch.Tensor] = []

    def keep(layer: nn.Module, args: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)
        raise _Reached

    handle = lists[0][depth - 1].register_forward_hook(keep)
    try:
        with suppress(_Reached):
            net(pixel_values=pixels_TCHW)
    finally:
        handle.remove()
    return found[0]


def check_sizes(config: HuggingFaceConfig, settings: Any, side: int) -> None:
    """Refuse a layer or a grid that a tower of ``side`` × ``side`` patches does not have.

    Raises:
        UserError: it has fewer layers, or fewer patches a side.
    """
    if settings.num_hidden_layers + 1 + config.layer < 1:
        raise UserError(
            f"encoder.layer is {config.layer}, but {config.path} has {settings.num_hidden_layers} layers; "
            "raise it"
        )
    if config.grid > side:
        raise UserError(
            f"encoder.grid is {config.grid}, but {config.path} cuts frames into {side} × {side} patches; "
            "lower it"
        )


def vision_settings(whole: Any, where: str) -> Any:
    """Settings of the vision tower, or of the model where it is nothing else.

    Raises:
        UserError: the model has no vision transformer that reads frames.
    """
    if whole.model_type in _NAFLEX:
        raise UserError(
            f"encoder {where}: SigLIP-2 of variable resolution (NaFlex) reads patches, not frames; use a "
            "checkpoint of fixed resolution, as google/siglip2-base-patch16-224"
        )
    settings = whole.vision_config if "vision_config" in whole.to_dict() else whole
    named = settings.to_dict()
    if not all(isinstance(named.get(name), int) for name in _NEEDED):
        raise UserError(
            f"encoder {where}: a {whole.model_type} model has no vision tower of layers and patches; use "
            "SigLIP, CLIP, DINOv2 or their like"
        )
    return settings


def _load(folder: Path, settings: Any) -> Any:
    """The vision tower with its weights, in single precision.

    Raises:
        UserError: a weight is missing or of another shape, or a file is damaged.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    name = _BY_NAME.get(settings.model_type)
    kind = getattr(transformers, name) if name else transformers.AutoModel
    prefix = {"key_mapping": {r"^vision_model\.": ""}} if name else {}
    try:
        with quiet_transformers():
            net, report = kind.from_pretrained(
                folder,
                config=settings,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **prefix,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"encoder {folder}: cannot be loaded ({first_line(error)}); fetch it again") from None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(_BEHIND))
    if missing:
        raise UserError(f"encoder {folder}: the weights lack {missing[0]}; fetch them again")
    return net.eval()
