"""The vision tower of a ready video-language model as frame encoder: features in its language model's width.

Every sampled frame passes the tower by itself, as an image does: repeated to fill the tower's temporal patch.
So a frame keeps a feature of its own, and a clip of any length or an odd number of frames needs no rule for
its end. Merged tokens are averaged over a grid that is coarse enough for many frames; the deeper levels of
Qwen3-VL lie behind one another in the channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import UserError, digest_json
from d2vlm_pipeline.features.config import Device, EncoderConfig, device_of, encode_in_batches
from d2vlm_pipeline.features.pretrained import (
    encoder_config,
    first_line,
    pretrained_folder,
    read_settings,
    stored_tensors,
    tower_settings,
    weight_files,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

# Raised whenever the same pixels would give other features.
_VERSION = 1
_KNOWN = ("qwen2_5_vl", "qwen3_vl")
_OF_TOWER = re.compile(r"(?:model\.)?visual\.(.+)")
_PIXELS = "preprocessor_config.json"


class VLMTowerConfig(EncoderConfig):
    """The tower of a Qwen2.5-VL or Qwen3-VL checkpoint.

    Attributes:
        path: the checkpoint's folder in the Hugging Face layout, or the id of its hub repository.
        revision: a commit, tag or branch of the hub repository.
        input_px: side of a frame, a multiple of the side that one merged token covers (28 or 32).
        grid: rows and columns of tokens that a frame is averaged to; a language model reads ``grid²`` tokens
            per frame.
        batch_frames: frames that pass the tower together.
        device: where it computes; results agree up to rounding.
    """

    kind: Literal["vlm_tower"] = "vlm_tower"
    path: str = Field(min_length=1)
    revision: str | None = None
    input_px: int = Field(default=224, ge=16)
    grid: int = Field(default=2, ge=2)
    batch_frames: int = Field(default=8, ge=1)
    device: Device = "auto"

    @property
    def digest(self) -> str:
        """See `EncoderConfig.digest`; where the weights lie is none of it, their content is."""
        return digest_json({"version": _VERSION, "kind": self.kind, "px": self.input_px, "grid": self.grid})


class VLMTower:
    """Encodes frames with the tower of a checkpoint; nothing else of the checkpoint is read.

    Raises:
        UserError: no checkpoint of a known kind lies there, or frame size and grid do not suit its tower.
    """

    def __init__(self, config: VLMTowerConfig) -> None:
        self._config = config
        self._folder = pretrained_folder(config.path, config.revision, "encoder")
        self._settings = _vision_settings(self._folder)
        check_sizes(config, self._settings)

    @property
    def input_px(self) -> int:
        """See `FrameEncoder.input_px`."""
        return self._config.input_px

    @property
    def device(self) -> str:
        """See `FrameEncoder.device`."""
        return device_of(self._config.device)

    @property
    def shape_NC(self) -> tuple[int, int]:
        """``grid²`` tokens of the language model's width, once for every level of features."""
        levels = len(self._settings.deepstack_visual_indexes) if self._is_stacked else 0
        return self._config.grid**2, self._settings.out_hidden_size * (1 + levels)

    @property
    def _is_stacked(self) -> bool:
        return bool(self._settings.model_type == "qwen3_vl_vision")

    @cached_property
    def digest(self) -> str:
        """Configuration, preprocessing, architecture and weights of the tower."""
        return digest_json(
            {
                "config": self._config.digest,
                "pixels": self._mean_and_std,
                "settings": tower_settings(self._folder),
                "weights": _tower_digest(tuple(_stats(self._folder))),
            }
        )

    @cached_property
    def _mean_and_std(self) -> tuple[list[float], list[float]]:
        settings = read_settings(self._folder / _PIXELS)
        if "image_mean" not in settings or "image_std" not in settings:
            raise UserError(f"{self._folder / _PIXELS}: image_mean or image_std is missing; fetch it again")
        return settings["image_mean"], settings["image_std"]

    @cached_property
    def _tower(self) -> Any:
        return _load(self._folder, self._settings).to(self.device)

    def encode(self, frames_THWC: np.ndarray) -> np.ndarray:
        """See `FrameEncoder.encode`.

        Raises:
            ValueError: frames are not uint8 [T, input_px, input_px, 3].
        """
        return encode_in_batches(frames_THWC, self.input_px, self._config.batch_frames, self._encode_batch)

    def _encode_batch(self, frames_THWC: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        settings = self._settings
        count, side = len(frames_THWC), self._config.input_px // settings.patch_size
        patches = patches_of(normalised(frames_THWC.to(self.device), *self._mean_and_std), settings)
        grid = torch.tensor([[1, side, side]] * count, device=patches.device)
        found = self._tower(patches, grid_thw=grid)
        levels = [found.pooler_output, *(found.deepstack_features if self._is_stacked else ())]
        merged = side // settings.spatial_merge_size
        maps_TCHW = torch.cat(levels, dim=-1).unflatten(0, (count, merged, merged)).permute(0, 3, 1, 2)
        pooled = functional.adaptive_avg_pool2d(maps_TCHW, self._config.grid)
        return pooled.flatten(2).transpose(1, 2).half().contiguous()


def check_sizes(config: VLMTowerConfig, settings: Any) -> None:
    """Refuse frames that the tower does not cut into whole tokens, or into too few for the grid.

    Raises:
        UserError: `input_px` or `grid` does not suit it.
    """
    unit = settings.patch_size * settings.spatial_merge_size
    if config.input_px % unit:
        raise UserError(f"encoder.input_px {config.input_px}: {config.path} needs a multiple of {unit}")
    if config.grid > config.input_px // unit:
        raise UserError(
            f"encoder.grid is {config.grid}, but {config.input_px} pixels are {config.input_px // unit} "
            f"tokens a side to {config.path}; lower it, or raise encoder.input_px"
        )


def normalised(frames_THWC: torch.Tensor, mean: list[float], std: list[float]) -> torch.Tensor:
    """uint8 [T, H, W, 3] → float [T, 3, H, W], in units of the tower's training data."""
    import torch

    frames_TCHW = frames_THWC.permute(0, 3, 1, 2).float() / 255.0
    centre_CHW, spread_CHW = (
        torch.tensor(values, device=frames_TCHW.device)[:, None, None] for values in (mean, std)
    )
    return (frames_TCHW - centre_CHW) / spread_CHW


def patches_of(frames_TCHW: torch.Tensor, settings: Any) -> torch.Tensor:
    """float [T, 3, H, W] → the tower's input: one row per patch, the patches of a merged token together.

    A row holds channels × time × rows × columns of its patch, the frame standing for every moment of it.
    """
    patch, merge, moments = settings.patch_size, settings.spatial_merge_size, settings.temporal_patch_size
    tiles = frames_TCHW.unflatten(3, (-1, merge, patch)).unflatten(2, (-1, merge, patch))
    # T, channel, block row, row in block, pixel row, block column, column in block, pixel column
    ordered = tiles.permute(0, 2, 5, 3, 6, 1, 4, 7)
    return ordered.unsqueeze(6).expand(*[-1] * 6, moments, -1, -1).flatten(5).flatten(0, 4)


def _vision_settings(folder: Path) -> Any:
    config = encoder_config(folder)
    if config.model_type not in _KNOWN:
        raise UserError(
            f"encoder {folder}: {config.model_type} is no video-language model of a known type "
            f"({', '.join(_KNOWN)}); use encoder.kind: huggingface for an image encoder"
        )
    return config.vision_config


def _load(folder: Path, settings: Any) -> Any:
    from transformers import AutoModel

    tower = AutoModel.from_config(settings)
    weights = dict(_tower_tensors(weight_files(folder)))
    try:
        tower.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"encoder {folder}: weights do not fit config.json ({first_line(error)})") from None
    return tower.float().eval()


def _tower_tensors(files: list[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tower's weights by name, from files that hold the whole model."""

    def name_in_tower(stored: str) -> str | None:
        found = _OF_TOWER.fullmatch(stored)
        return found[1] if found else None

    return stored_tensors(files, name_in_tower)


def _stats(folder: Path) -> list[tuple[Path, int, int]]:
    return [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in weight_files(folder)]


@lru_cache(maxsize=8)
def _tower_digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Digest of the tower's weights by content; read once in a process, until a file changes."""
    import hashlib

    import torch

    found = {
        name: hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().data).hexdigest()
        for name, tensor in _tower_tensors([path for path, _, _ in files])
    }
    return digest_json(found)
