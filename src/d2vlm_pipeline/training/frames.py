"""What an encoder makes of a frame, from its configuration and its published architecture alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel

from d2vlm_pipeline.features import (
    EfficientNetConfig,
    EncoderConfig,
    HuggingFaceConfig,
    VLMTowerConfig,
    build_encoder,
    huggingface,
    vlm_tower,
)
from d2vlm_pipeline.model.architectures import find_architecture
from d2vlm_pipeline.model.vlm import check_known, text_config


@dataclass(frozen=True)
class FrameFeatures:
    """Tokens of a frame, their channels, and the encoder's parameters, which no training step holds."""

    tokens: int
    channels: int
    parameters: int


def frame_features(config: EncoderConfig) -> FrameFeatures:
    """Shape of the features that an encoder stores.

    Raises:
        UserError: its architecture is not on this machine, or does not have the layer or grid configured.
    """
    if isinstance(config, EfficientNetConfig):
        return FrameFeatures(*build_encoder(config).shape_NC, parameters=_size(_efficientnet()))
    if isinstance(config, VLMTowerConfig):
        whole = find_architecture(config.path, config.revision)
        check_known(config.path, whole)
        vlm_tower.check_sizes(config, whole.vision_config)
        text = text_config(whole)
        channels = text.hidden_size * text.frame_levels
        return FrameFeatures(config.grid**2, channels, _size(_tower(whole.vision_config)))
    if isinstance(config, HuggingFaceConfig):
        whole = find_architecture(config.path, config.revision)
        image = huggingface.vision_settings(whole, config.path)
        # Preprocessing may cut out less than the tower could read: then the run itself refuses.
        huggingface.check_sizes(config, image, image.image_size // image.patch_size)
        return FrameFeatures(config.grid**2, image.hidden_size, _size(_tower(image)))
    raise TypeError(f"no features are known of a {type(config).__name__}")


def _efficientnet() -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    with torch.device("meta"):
        network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return network


def _tower(config: Any) -> nn.Module:
    with torch.device("meta"):
        tower: nn.Module = AutoModel.from_config(config)
    return tower


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
