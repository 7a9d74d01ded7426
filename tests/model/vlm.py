"""Tiny random video-language models in folders as the hub would hold them, and clips for their towers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from d2vlm_pipeline.features import ClipFeatures, FeatureStore, StoredClips, VLMTowerConfig, build_encoder
from d2vlm_pipeline.features import write_store as write_features
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.model.config import TokensConfig, VLMConfig
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.packing import Clip
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from model import tiny
from model.pretrained import plain_tokenizer, save_random

PX, PATCH, MERGE, WIDTH = 32, 4, 2, 32
SIDE = PX // PATCH // MERGE  # merged tokens on a side of a frame
PAD, VIDEO, START, END = "<|endoftext|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
SPECIAL = ["<|im_start|>", START, END, "<|image_pad|>", VIDEO]

# The form of the Qwen templates: a system turn in front, videos as one placeholder between two tokens.
TEMPLATE = (
    "{% for turn in messages %}{% if loop.first %}<|im_start|>system\nYou are a helpful assistant."
    "<|im_end|>\n{% endif %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content }}{% else %}"
    "{% for part in turn.content %}{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]},
}
VISION = {
    "depth": 3,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
    "out_hidden_size": WIDTH,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": {
        "text_config": TEXT,
        "vision_config": VISION | {"window_size": 16, "fullatt_block_indexes": [1], "tokens_per_second": 2},
        "tie_word_embeddings": False,
    },
    "qwen3_vl": {
        "text_config": TEXT | {"head_dim": 8},
        "vision_config": VISION | {"num_position_embeddings": 36, "deepstack_visual_indexes": [0, 2]},
        "tie_word_embeddings": True,
    },
}


def write_vlm(directory: Path, architecture: str) -> Path:
    """A folder as the hub would hold it: random weights, tokenizer with chat template, preprocessing."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(plain_tokenizer(directory / "plain"))
    tokenizer.add_special_tokens(
        {"eos_token": "<|im_end|>", "pad_token": PAD, "additional_special_tokens": SPECIAL}
    )
    tokenizer.chat_template = TEMPLATE
    ids = tokenizer.get_vocab()
    settings = dict(ARCHITECTURES[architecture])
    # As theirs, the table has more rows than the tokenizer has tokens.
    settings["text_config"] = settings["text_config"] | {"vocab_size": len(tokenizer) + 5}
    config = AutoConfig.for_model(
        architecture,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[START],
        vision_end_token_id=ids[END],
        **settings,
    )
    home = directory / architecture
    save_random(AutoModelForImageTextToText.from_config(config), tokenizer, home)
    pixels = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (home / "preprocessor_config.json").write_text(json.dumps(pixels))
    return home


def tower_config(home: Path, grid: int = 2) -> VLMTowerConfig:
    return VLMTowerConfig(path=str(home), input_px=PX, grid=grid, batch_frames=3)


def fresh(home: Path, grid: int = 2, **changes: Any) -> ModelBundle:
    config = ModelConfig(
        backbone=VLMConfig(path=str(home), **changes),
        projector=TokensConfig(),
        semantic_layer=3,
        head_size=16,
    )
    found = fresh_model(config, [], SamplingPolicy(), tower_config(home, grid), seed=0)
    found.model.eval()
    return found


def frames(count: int, seed: int = 0) -> np.ndarray:
    """uint8 [T, PX, PX, 3]: coarse noise, so that patches differ in more than their grain."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(PX // 8, axis=1).repeat(PX // 8, axis=2)


def clip(bundle: ModelBundle, count: int, forms: tuple[str, ...], seed: int = 0) -> Clip:
    """A clip of real features, with questions of these forms."""
    clock = tiny.clock(count)
    made = BranchEncoder(bundle.tokenizer, bundle.tokens, SFTConfig())
    branches = [made.sample(tiny.sample(form), clock) for form in forms]
    features = build_encoder(bundle.contract.encoder).encode(frames(count, seed))
    return Clip(bundle.layout.prefix(clock.times_s), torch.from_numpy(features).float(), branches)


def store(directory: Path, encoder: VLMTowerConfig, counts: dict[str, int]) -> StoredClips:
    """Features of clips of so many frames, as the features pipeline leaves them."""
    tower = build_encoder(encoder)
    found = [
        ClipFeatures(video, "p", tower.digest, tower.encode(frames(count, seed)), tiny.clock(count))
        for seed, (video, count) in enumerate(sorted(counts.items()))
    ]
    write_features(directory, found)
    return StoredClips(FeatureStore(directory), {video: video for video in counts}, "p", tower.digest)
