"""Language models behind one interface: a small Llama made anew, or a pretrained one of any architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features.pretrained import first_line
from d2vlm_pipeline.model.architectures import check_as_written
from d2vlm_pipeline.model.config import BackboneConfig, CausalLMConfig, VLMConfig
from d2vlm_pipeline.model.gguf import converted
from d2vlm_pipeline.model.tokens import add_evidence_tokens
from d2vlm_pipeline.model.vlm import LanguageHalf, is_language_half, language_half
from d2vlm_pipeline.model.whole import load_whole

# Spread of a new token's embedding around the mean of the known ones, as a share of their own spread: two
# new tokens must not be one.
_NEW_TOKEN_SPREAD = 0.1


def tiny_llama(config: BackboneConfig) -> PreTrainedModel:
    """A small Llama with fresh weights."""
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


def pretrained(
    config: CausalLMConfig | VLMConfig, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model in float32 and its tokenizer, both with the tokens that evidence needs.

    Raises:
        UserError: nothing usable lies there, or another architecture than was written down for it, or one
            whose logits are not those of its output layer, or the tokenizer cannot structure a prompt.
    """
    try:
        tokenizer, model = _load_vlm(config) if isinstance(config, VLMConfig) else _load_causal_lm(config)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"backbone {config.name}: cannot be loaded ({first_line(error)}); name a folder with a causal "
            "language model and its tokenizer, or a hub id while there is a network"
        ) from None
    check_as_written(config.name, config.architecture, model.config)
    if isinstance(config, CausalLMConfig):
        _check_logits(config.name, model)
    added = add_evidence_tokens(tokenizer)
    if len(tokenizer) > len(_rows(model.get_input_embeddings())):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    _initialise(model, [int(tokenizer.get_vocab()[token]) for token in added], seed)
    return model, tokenizer


def _load_causal_lm(config: CausalLMConfig) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    home = str(converted(config.gguf)) if config.gguf else config.name
    return (
        AutoTokenizer.from_pretrained(home, revision=config.revision),
        load_whole(AutoModelForCausalLM, home, config.revision, torch.float32),
    )


def _load_vlm(config: VLMConfig) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    return (
        AutoTokenizer.from_pretrained(config.path, revision=config.revision),
        language_half(config.path, config.revision, torch.float32),
    )


def architecture(backbone: PreTrainedModel) -> dict[str, Any]:
    """What `of_architecture` needs to build the backbone again, without weights and without a network."""
    config: PretrainedConfig = backbone.config
    return {name: value for name, value in config.to_dict().items() if not name.startswith("_")}


def of_architecture(record: dict[str, Any], path: Path) -> PreTrainedModel:
    """A backbone of a recorded architecture, weights yet to be filled.

    Raises:
        UserError: this version of transformers does not know the architecture.
    """
    settings = dict(record)
    try:
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        build = LanguageHalf._from_config if is_language_half(config) else AutoModelForCausalLM.from_config
        return build(config, dtype=torch.float32)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a known causal language model ({first_line(error)})") from None


def is_tied(backbone: PreTrainedModel) -> bool:
    """Whether input and output embeddings are one tensor."""
    return _rows(backbone.get_input_embeddings()) is _rows(backbone.get_output_embeddings())


@torch.no_grad()
def _check_logits(name: str, model: PreTrainedModel) -> None:
    """Refuse a model that scales or caps its logits behind the output layer, which alone is used here."""
    first = torch.zeros(1, 1, dtype=torch.long)
    states = model.base_model(input_ids=first).last_hidden_state
    if not torch.allclose(model.get_output_embeddings()(states), model(input_ids=first).logits):
        raise UserError(
            f"backbone {name}: {type(model).__name__} scales or caps its logits, which is not supported; "
            "choose a model that does not"
        )


@torch.no_grad()
def _initialise(model: PreTrainedModel, new: list[int], seed: int) -> None:
    """Give the new tokens' rows, in and out, the mean of the others and a little of their spread."""
    generator = torch.Generator().manual_seed(seed)
    tables = [model.get_input_embeddings(), *([] if is_tied(model) else [model.get_output_embeddings()])]
    for table in tables:
        _fill(_rows(table), new, generator)


def _rows(table: nn.Module) -> Tensor:
    """Weights of an embedding or of a linear map to the vocabulary, a row per token."""
    return table.get_parameter("weight")


def _fill(table_VD: Tensor, rows: list[int], generator: torch.Generator) -> None:
    is_known = torch.ones(len(table_VD), dtype=torch.bool)
    is_known[rows] = False
    known = table_VD[is_known]
    noise = torch.randn(len(rows), table_VD.shape[1], generator=generator)
    table_VD[rows] = known.mean(0) + _NEW_TOKEN_SPREAD * known.std(0) * noise
