"""Building the model from its configuration."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from d2vlm_pipeline.model.backbones import tiny_llama
from d2vlm_pipeline.model.config import BackboneConfig, ModelConfig, check_layers
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.heads import PoolProjector


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
        width = backbone.config.hidden_size
        projector = PoolProjector(config.projector, config.frame_tokens, config.frame_channels, width)
        return D2VLM(config, backbone, projector)
