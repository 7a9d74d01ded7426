"""A saved model is the same model; a directory that is not one says why."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from d2vlm_pipeline.artifacts import UserError, atomic_directory, verify
from d2vlm_pipeline.model import ModelBundle, ModelConfig, build_model, load_model, save_model
from d2vlm_pipeline.model.io import save_half
from d2vlm_pipeline.model.packing import pack
from model import tiny


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return tiny.bundle()


@pytest.fixture
def saved(bundle: ModelBundle, tmp_path: Path) -> Path:
    with atomic_directory(tmp_path / "sft") as directory:
        save_model(bundle, directory)
    return tmp_path / "sft"


def test_what_was_saved_is_loaded(bundle: ModelBundle, saved: Path) -> None:
    verify(saved)
    again = load_model(saved)
    assert again.contract == bundle.contract
    assert again.model.config == bundle.model.config
    assert again.tokens == bundle.tokens
    assert again.directory == saved and again.digest
    assert not again.model.training
    expected = bundle.model.state_dict()
    assert {name: tensor.tolist() for name, tensor in again.model.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }
    batch = pack([tiny.clip(8)], 0)
    with torch.inference_mode():
        assert torch.equal(again.model(batch)[0].token_logits_NV, bundle.model(batch)[0].token_logits_NV)


def test_the_tokenizer_comes_back(bundle: ModelBundle, saved: Path) -> None:
    again = load_model(saved).tokenizer
    for text in (*tiny.TEXTS, "日本語 <evi></evi> naïve  \n\tx", "<evi>, <evi>."):
        assert again.encode(text, add_special_tokens=False) == bundle.tokenizer.encode(
            text, add_special_tokens=False
        )
        assert again.decode(again.encode(text, add_special_tokens=False)) == text


def test_tied_embeddings_stay_tied(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    assert "backbone.lm_head.weight" not in weights
    model = load_model(saved).model
    with torch.no_grad():
        model.backbone.get_input_embeddings().weight[7] += 1.0
    assert torch.equal(
        model.backbone.get_output_embeddings().weight, model.backbone.get_input_embeddings().weight
    )


def test_embeddings_that_are_not_tied_are_both_stored(tmp_path: Path) -> None:
    backbone = tiny.config().backbone.model_copy(update={"tie_embeddings": False})
    model = tiny.model(backbone=backbone)
    with atomic_directory(tmp_path / "model") as directory:
        save_model(ModelBundle(model, tiny.tokenizer(), tiny.contract()), directory)
    again = load_model(tmp_path / "model").model
    assert torch.equal(again.backbone.lm_head.weight, model.backbone.lm_head.weight)
    assert not torch.equal(again.backbone.lm_head.weight, again.backbone.get_input_embeddings().weight)


def test_the_same_model_is_saved_as_the_same_bytes(bundle: ModelBundle, saved: Path, tmp_path: Path) -> None:
    for name, again in (("again", bundle), ("reloaded", load_model(saved)), ("other", tiny.bundle(seed=1))):
        with atomic_directory(tmp_path / name) as directory:
            save_model(again, directory)
    assert load_model(tmp_path / "again").digest == load_model(saved).digest
    assert load_model(tmp_path / "other").digest != load_model(saved).digest
    for name in ("model.safetensors", "config.json", "contract.json", "tokenizer.json"):
        assert (tmp_path / "reloaded" / name).read_bytes() == (saved / name).read_bytes()


def test_half_precision_weights_are_computed_with_in_float32(
    bundle: ModelBundle, saved: Path, tmp_path: Path
) -> None:
    weights = load_file(saved / "model.safetensors")
    with atomic_directory(tmp_path / "half") as directory:
        save_half(bundle, directory)
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {
        torch.float16
    }
    model = load_model(tmp_path / "half").model
    assert model.dtype == torch.float32
    name = "query_head.1.weight"
    assert torch.equal(model.state_dict()[name], weights[name].half().float())


@pytest.mark.parametrize("name", ["config.json", "contract.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is missing"):
        load_model(saved)


def test_a_directory_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a model directory"):
        load_model(tmp_path)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_prompt_is_refused(saved: Path) -> None:
    edit(saved / "contract.json", prompt_version="0")
    with pytest.raises(UserError, match="prompt version 0"):
        load_model(saved)


def test_an_unknown_setting_is_named(saved: Path) -> None:
    edit(saved / "config.json", spam=1)
    with pytest.raises(UserError, match="spam"):
        load_model(saved)


def test_weights_of_another_depth_are_refused(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    edit(saved / "config.json", backbone=config["backbone"] | {"layers": 5})
    with pytest.raises(UserError, match=r"does not fit config\.json .*layers\.4"):
        load_model(saved)


def test_weights_of_another_width_are_refused(saved: Path) -> None:
    edit(saved / "config.json", head_size=24)
    with pytest.raises(UserError, match=r"does not fit config\.json"):
        load_model(saved)


def test_damaged_weights_are_refused(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(saved)


def test_a_fresh_model_follows_from_its_seed_alone() -> None:
    def weights(seed: int) -> list[float]:
        return build_model(tiny.config(), seed).projector.mix.weight.flatten().tolist()

    torch.manual_seed(5)
    first, state = weights(1), torch.get_rng_state()
    torch.rand(9)
    assert weights(1) == first != weights(2)
    torch.manual_seed(5)
    weights(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "changes",
    [
        {"semantic_layer": 6},
        {"backbone": {"hidden_size": 30, "heads": 4}},
        {"backbone": {"heads": 4, "kv_heads": 3}},
        {"match_layer": 0},
        {"unknown": 1},
    ],
)
def test_a_model_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ModelConfig.model_validate(changes)
