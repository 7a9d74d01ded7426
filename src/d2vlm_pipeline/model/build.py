"""Building the model from its configuration."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from d2vlm_pipeline.model.config import BackboneConfig, ModelConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.heads import PoolProjector


def build_model(config: ModelConfig, seed: int) -> D2VLM:
    """A freshly initialised model; the same seed gives the same weights, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = build_backbone(config.backbone)
        projector = PoolProjector(
            config.projector, config.frame_tokens, config.frame_channels, config.backbone.hidden_size
        )
        return D2VLM(config, backbone, projector)


def build_backbone(config: BackboneConfig) -> PreTrainedModel:
    """A small Llama through transformers."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=4096,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=config.tie_embeddings,
            attention_bias=False,
        )
    )
