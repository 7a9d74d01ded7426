"""Tiny random language models of several architectures, in folders as the hub would hold them."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.model.config import CausalLMConfig, ModelConfig, PoolConfig
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.packing import Clip, PackedBatch, pack
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from model import tiny

CHATML = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
ARCHITECTURES = {
    "llama": {"tie_word_embeddings": False},
    "qwen3": {"head_dim": 8, "tie_word_embeddings": True},
    "phi3": {"tie_word_embeddings": False},
    "gemma3_text": {"head_dim": 8},
    "smollm3": {"tie_word_embeddings": True},
}


def write_pretrained(
    directory: Path, architecture: str, template: str | None = CHATML, **sizes: int
) -> Path:
    """A folder as the hub would hold it: random weights, a tokenizer that knows nothing of evidence."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(plain_tokenizer(directory / "plain"))
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = template
    config = AutoConfig.for_model(
        architecture, vocab_size=len(tokenizer), **COMMON | ARCHITECTURES.get(architecture, {}) | sizes
    )
    home = directory / architecture
    save_random(AutoModelForCausalLM.from_config(config), tokenizer, home)
    return home


def save_random(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, home: Path) -> None:
    """Save with weights of a size at which every part matters."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(home)
    tokenizer.save_pretrained(home)


def plain_tokenizer(directory: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {byte: at for at, byte in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), "re"])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[("r", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(directory)
    return directory


def fresh(home: Path) -> ModelBundle:
    config = ModelConfig(
        backbone=CausalLMConfig(path=str(home)),
        projector=PoolConfig(cell_size=8, dropout=0.0),
        semantic_layer=2,
        head_size=16,
    )
    found = fresh_model(config, [], SamplingPolicy(), EfficientNetConfig(), seed=0)
    found.model.eval()
    return found


def encoder(bundle: ModelBundle) -> BranchEncoder:
    return BranchEncoder(bundle.tokenizer, bundle.tokens, SFTConfig())


def features(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(frames, 9, 471, generator=torch.Generator().manual_seed(seed))


def clip(bundle: ModelBundle, frames: int, forms: tuple[str, ...], seed: int = 0) -> Clip:
    made = encoder(bundle)
    branches = [made.sample(tiny.sample(form), tiny.clock(frames)) for form in forms]
    return Clip(bundle.layout.prefix(tiny.clock(frames).times_s), features(frames, seed), branches)


def two_clips(bundle: ModelBundle) -> PackedBatch:
    """Clips of different lengths, with questions of most forms."""
    clips = [clip(bundle, 8, ("tvg", "dvc", "tem")), clip(bundle, 5, ("rar", "absent"), seed=1)]
    return pack(clips, bundle.tokens.pad)


def outputs(bundle: ModelBundle, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        found, _ = bundle.model(batch)
    return found.token_logits_NV, found.similarity_MT
