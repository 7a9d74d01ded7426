"""The model directory: weights, configuration, tokenizer, and the contract that features must meet."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer

from d2vlm_pipeline.artifacts import (
    UserError,
    canonical_json,
    digest_json,
    read_manifest,
    require_room,
)
from d2vlm_pipeline.model.adapter import RECORD, apply_changes, load_adapter, save_adapter
from d2vlm_pipeline.model.backbones import architecture, is_tied, of_architecture
from d2vlm_pipeline.model.build import build_model
from d2vlm_pipeline.model.bundle import Contract, ModelBundle
from d2vlm_pipeline.model.config import PROMPT_VERSION, BackboneConfig, ModelConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.files import read_json, read_record, read_tensors

ARCHITECTURE = "backbone.json"
"""Of a backbone that was loaded: its architecture in transformers' words."""

def save_model(bundle: ModelBundle, directory: Path) -> None:
    """Write weights (safetensors), config.json, tokenizer and contract.json into an existing directory.

    A bundle with adapters is stored as what tells it from its base.
    """
    _save(bundle, directory, None)


def save_half(bundle: ModelBundle, directory: Path) -> None:
    """As `save_model`, in half precision: a backbone to ship, not one to continue from exactly."""
    _save(bundle, directory, torch.float16)


def _save(bundle: ModelBundle, directory: Path, dtype: torch.dtype | None) -> None:
    from safetensors.torch import save_file

    stored, base = _stored_weights(bundle.model), bundle.model.config.backbone
    if bundle.stages is not None and dtype is None and not isinstance(base, BackboneConfig):
        save_adapter(stored, base, bundle.stages, directory)
    else:
        weights = {
            name: tensor.to(dtype=dtype or tensor.dtype).contiguous() for name, tensor in stored.items()
        }
        require_room(directory, sum(tensor.nbytes for tensor in weights.values()))
        save_file(weights, directory / "model.safetensors")
    save_structure(bundle.model, directory)
    (directory / "contract.json").write_text(
        canonical_json(bundle.contract.model_dump(mode="json")) + "\n", encoding="utf-8"
    )
    bundle.tokenizer.save_pretrained(directory)


def save_structure(model: D2VLM, directory: Path) -> None:
    """Write what `load_structure` needs to build the model again, without weights and without a network."""
    (directory / "config.json").write_text(
        canonical_json(model.config.model_dump(mode="json")) + "\n", encoding="utf-8"
    )
    if not isinstance(model.config.backbone, BackboneConfig):
        record = architecture(model.backbone)
        (directory / ARCHITECTURE).write_text(
            json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def load_structure(directory: Path) -> D2VLM:
    """The model that a directory describes, weights yet to be filled.

    Raises:
        UserError: a file is missing or malformed.
    """
    config = read_record(directory / "config.json", ModelConfig)
    backbone = None
    if not isinstance(config.backbone, BackboneConfig):
        path = directory / ARCHITECTURE
        backbone = of_architecture(read_json(path), path)
    return build_model(config, seed=0, backbone=backbone)


def load_model(directory: Path, base: str | None = None) -> ModelBundle:
    """Read a model directory; half-precision weights are computed with in float32.

    Args:
        directory: a whole model, or an adapter.
        base: where an adapter's base lies now, if it has moved: a folder or a hub id.

    Raises:
        UserError: a file is missing, malformed, or made for another prompt, or an adapter's base is.
    """
    contract = read_record(directory / "contract.json", Contract)
    if contract.prompt_version != PROMPT_VERSION:
        raise UserError(
            f"{directory}: made for prompt version {contract.prompt_version}, but this code writes "
            f"{PROMPT_VERSION}; train it again"
        )
    if not (directory / "tokenizer.json").is_file():
        raise UserError(f"{directory}/tokenizer.json is missing: this is not a model directory")
    stages = None
    if (directory / RECORD).is_file():
        backbone, stages = load_adapter(directory, base)
        model = build_model(read_record(directory / "config.json", ModelConfig), seed=0, backbone=backbone)
        apply_changes(_stored_weights(model), directory)
    else:
        model = load_structure(directory)
        _fill(model, directory / "model.safetensors")
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return ModelBundle(model, tokenizer, contract, directory, directory_digest(directory), stages)


def _fill(model: D2VLM, path: Path) -> None:
    weights = {name: tensor.float() for name, tensor in read_tensors(path).items()}
    expected = _stored_weights(model)
    for name in sorted(weights.keys() | expected.keys()):
        if name not in weights or name not in expected or weights[name].shape != expected[name].shape:
            raise UserError(f"{path} does not fit config.json (first difference: {name})")
    model.load_state_dict(weights, strict=False)


def directory_digest(directory: Path) -> str:
    """Digest of everything a sealed model directory holds."""
    return digest_json(read_manifest(directory).model_dump(mode="json"))


def _stored_weights(model: D2VLM) -> dict[str, Tensor]:
    """State without tied copies, which safetensors refuses to write twice."""
    state = model.state_dict()
    if is_tied(model.backbone):
        state.pop("backbone.lm_head.weight")
    return state
