"""The language half of a ready video-language model; its tower stays with the features that it makes.

Both halves are trained ones: frames arrive in the language model's own width, and stand in the prompt as the
model is used to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.layout import FrameLayout
from d2vlm_pipeline.model.positions import TimedLayout, VideoLayout
from d2vlm_pipeline.model.tokens import PromptTokens, encode
from d2vlm_pipeline.model.whole import load_whole

START, END = "<|vision_start|>", "<|vision_end|>"

KNOWN = ("qwen2_5_vl", "qwen3_vl")
"""Model types of checkpoints that are understood."""


class LanguageHalf(PreTrainedModel):
    """The text model of a video-language model with its output layer: a causal language model.

    ``config`` is that of the text model, with what prompts need to know of the tower: ``positions_per_s``,
    and ``frame_levels``, how many layers' worth of features a frame's token brings.
    """

    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (transformers' own form)

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.model = AutoModel.from_config(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


def is_language_half(config: PretrainedConfig) -> bool:
    """Whether this is the architecture of a known video-language model's text model."""
    return config.model_type in [f"{known}_text" for known in KNOWN]


def language_half(path: str, revision: str | None, dtype: torch.dtype) -> LanguageHalf:
    """Load a checkpoint and keep its language half.

    Raises:
        UserError: the checkpoint is of a type that is not known.
        OSError: nothing can be loaded from there.
        ValueError: weights are missing.
        SafetensorError: a file is damaged.
    """
    check_known(path, AutoConfig.from_pretrained(path, revision=revision))
    whole = load_whole(AutoModelForImageTextToText, path, revision, dtype)
    with torch.device("meta"):
        half = LanguageHalf(text_config(whole.config))
    half.model, half.lm_head = whole.model.language_model, whole.lm_head
    half.model.config = half.config
    return half


def check_known(path: str, config: PretrainedConfig) -> None:
    """Refuse a checkpoint that is no video-language model of a known type.

    Raises:
        UserError: it is another model.
    """
    if config.model_type not in KNOWN:
        raise UserError(
            f"backbone {path}: {config.model_type} is no video-language model of a known type "
            f"({', '.join(KNOWN)}); use kind: causal_lm for a language model"
        )


def text_config(config: Any) -> PretrainedConfig:
    """Configuration of the language half of a checkpoint whose type is known."""
    text, vision = config.text_config, config.vision_config
    text.tie_word_embeddings = config.tie_word_embeddings
    text.frame_levels = 1
    if config.model_type == "qwen3_vl":
        text.frame_levels += len(vision.deepstack_visual_indexes)
    else:
        text.positions_per_s = vision.tokens_per_second
    return text


def video_layout(
    config: Any, frame_tokens: int, tokens: PromptTokens, tokenizer: PreTrainedTokenizerBase
) -> FrameLayout:
    """How a language half of this configuration expects frames of a square of tokens.

    Raises:
        UserError: the tokenizer has no tokens to put around frames.
    """
    vocabulary = tokenizer.get_vocab()
    missing = [name for name in (START, END) if name not in vocabulary]
    if missing:
        raise UserError(f"the tokenizer lacks {' '.join(missing)}: use the one of the video-language model")
    around = tokens.before_frames, vocabulary[START], vocabulary[END], round(frame_tokens**0.5)
    if config.model_type == "qwen3_vl_text":
        write: Callable[[str], list[int]] = partial(encode, tokenizer=tokenizer)
        return TimedLayout(*around, write)
    return VideoLayout(*around, config.positions_per_s)
