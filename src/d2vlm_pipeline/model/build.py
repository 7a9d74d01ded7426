"""Building the model from its configuration."""

from __future__ import annotations

from math import isqrt

import torch
from torch import nn
from transformers import PreTrainedModel

from d2vlm_pipeline.model.backbones import tiny_llama
from d2vlm_pipeline.model.config import (
    BackboneConfig,
    ModelConfig,
    PoolConfig,
    QFormerConfig,
    check_layers,
)
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.projectors import PoolProjector


def build_model(config: ModelConfig, seed: int, backbone: PreTrainedModel | None = None) -> D2VLM:
    """Projector and heads freshly initialised around a backbone, which is fresh, too, unless it is given.

    The same seed gives the same weights, whatever was drawn before.

    Raises:
        ValueError: a backbone that is not made from its configuration was not given, or has too few layers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if backbone is None:
            if not isinstance(config.backbone, BackboneConfig):
                raise ValueError(f"a {config.backbone.kind} backbone is loaded, not built: pass it in")
            backbone = tiny_llama(config.backbone)
        check_layers(config, len(list(backbone.base_model.get_submodule("layers").children())))
        return D2VLM(config, backbone, _projector(config, backbone))


def _projector(config: ModelConfig, backbone: PreTrainedModel) -> nn.Module:
    width, channels = backbone.config.hidden_size, config.frame_channels
    if isinstance(config.projector, PoolConfig):
        return PoolProjector(config.projector, config.frame_tokens, channels, width)
    if isinstance(config.projector, QFormerConfig):
        from d2vlm_pipeline.model.qformer import QFormerProjector

        words = len(backbone.get_input_embeddings().get_parameter("weight"))
        return QFormerProjector(config.projector, channels, width, words)
    levels = backbone.config.frame_levels
    if channels != levels * width or isqrt(config.frame_tokens) ** 2 != config.frame_tokens:
        raise ValueError(
            f"a frame has {config.frame_tokens} tokens of {channels} channels, but the backbone "
            f"reads a square of tokens of {levels} × {width}: give it features of its own tower"
        )
    return nn.Identity()
