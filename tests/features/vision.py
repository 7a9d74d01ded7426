"""Vision models as the hub would hold them: tiny, random, of every architecture that people use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

PX, PATCH, WIDTH, LAYERS = 32, 8, 24, 3
TOWER: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "image_size": PX,
    "patch_size": PATCH,
}
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 40,
    "max_position_embeddings": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def _clip() -> Any:
    return hf.CLIPModel(hf.CLIPConfig(text_config=TEXT, vision_config=TOWER, projection_dim=8))


def _siglip() -> Any:
    return hf.SiglipModel(hf.SiglipConfig(text_config=TEXT, vision_config=TOWER))


def _instructblip() -> Any:
    reader = {name: TEXT[name] for name in ("intermediate_size", "num_attention_heads", "vocab_size")}
    config = hf.InstructBlipConfig(
        vision_config=TOWER,
        qformer_config=reader | {"hidden_size": 16, "num_hidden_layers": 1, "encoder_hidden_size": WIDTH},
        text_config={"model_type": "opt", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        | {"ffn_dim": 8, "word_embed_proj_dim": 8, "vocab_size": 40},
    )
    return hf.InstructBlipModel(config)


# Positions of DINOv2 are interpolated: its checkpoints were trained at 518 pixels and read 224.
DINO = TOWER | {"image_size": 56, "mlp_ratio": 2}
MODELS: dict[str, Callable[[], Any]] = {
    "clip": _clip,
    "clip_vision": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)),
    "siglip": _siglip,
    "siglip_vision": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**TOWER)),
    "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**DINO)),
    "dinov2_registers": lambda: hf.Dinov2WithRegistersModel(
        hf.Dinov2WithRegistersConfig(**DINO, num_register_tokens=4)
    ),
    "instructblip": _instructblip,
}
MEAN, STD = [0.48, 0.45, 0.40], [0.27, 0.26, 0.28]


def processor(name: str, **changes: Any) -> Any:
    """The image processor that such checkpoints come with, in its Pillow class."""
    if name.startswith("siglip"):
        return SiglipImageProcessorPil(size={"height": PX, "width": PX}, resample=2, **changes)
    if name.startswith("dinov2"):
        sizes = {"size": {"shortest_edge": PX + 8}, "crop_size": {"height": PX, "width": PX}}
        return BitImageProcessorPil(**sizes | {"image_mean": MEAN, "image_std": STD} | changes)
    sizes = {"size": {"shortest_edge": PX}, "crop_size": {"height": PX, "width": PX}}
    return CLIPImageProcessorPil(**sizes | changes)


def write_vision(home: Path, name: str, seed: int = 0) -> Path:
    """A folder as the hub would hold it: weights large enough for every part to matter."""
    torch.manual_seed(seed)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    model.save_pretrained(home)
    processor(name).save_pretrained(home)
    return home


def tower(name: str, home: Path) -> Any:
    """The vision tower of a folder, loaded as a whole model, for comparison."""
    model = type(MODELS[name]()).from_pretrained(home).eval()
    return model.vision_model if name in ("clip", "siglip", "instructblip") else model
