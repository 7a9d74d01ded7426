"""Hugging Face vision transformers as encoders: the model's own states of its own patches, no more."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch.nn import functional

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import EncoderConfig, FrameEncoder, HuggingFaceConfig, build_encoder
from d2vlm_pipeline.features.extract import encoder_processes
from d2vlm_pipeline.features.huggingface import hidden_state
from features.vision import LAYERS, MODELS, PATCH, PX, TEXT, TOWER, WIDTH, processor, tower, write_vision

SIDE = PX // PATCH
# Half precision keeps about three digits.
HALF = {"rtol": 2e-3, "atol": 2e-3}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vision")
    return {name: write_vision(root / name, name) for name in MODELS}


def encoder(home: Path, **changes: Any) -> FrameEncoder:
    return build_encoder(HuggingFaceConfig(**{"path": str(home), "grid": 2} | changes))


def frames(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Smooth noise, uint8 [T, S, S, 3]: what resizing does to it is known to fractions of a level."""
    coarse = np.random.default_rng(seed).random((count, 3, 6, 6), dtype=np.float32)
    fine = functional.interpolate(torch.from_numpy(coarse), size=side, mode="bicubic").clamp(0, 1)
    return (fine.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)


def expected(name: str, home: Path, frames_THWC: np.ndarray, layer: int, grid: int) -> np.ndarray:
    """What the library gives: its processor's pixels, its hidden state, patches last, averaged."""
    pixels = processor(name)(list(frames_THWC), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        hidden = tower(name, home)(pixel_values=pixels, output_hidden_states=True).hidden_states[layer]
    maps = hidden[:, -(SIDE**2) :].transpose(1, 2).unflatten(2, (SIDE, SIDE))
    return functional.adaptive_avg_pool2d(maps, grid).flatten(2).transpose(1, 2).numpy()


@pytest.mark.parametrize("layer", [-2, -3])
@pytest.mark.parametrize("name", MODELS)
def test_features_are_the_model_s_own_states_of_its_patches(
    name: str, layer: int, homes: dict[str, Path]
) -> None:
    made = encoder(homes[name], layer=layer, grid=2)
    shown = frames(3, made.input_px)
    found = made.encode(shown)
    assert found.shape == (3, *made.shape_NC) == (3, 4, WIDTH)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected(name, homes[name], shown, layer, 2), **HALF)


@pytest.mark.parametrize(("name", "special"), [("clip", 1), ("siglip", 0), ("dinov2_registers", 5)])
def test_what_has_no_place_is_dropped(name: str, special: int, homes: dict[str, Path]) -> None:
    """At full grid a token is a patch: where one patch of the frame changes, so does its token most."""
    net, settings = tower(name, homes[name]), json.loads((homes[name] / "config.json").read_text())
    assert "vision_config" in settings or name.startswith("dinov2")
    made = encoder(homes[name], grid=SIDE, layer=-3)
    edge = (made.input_px - PX) // 2
    plain = np.full((1, made.input_px, made.input_px, 3), 120, np.uint8)
    base = made.encode(plain).astype(np.float32)
    for row, column in ((0, 0), (1, 3), (3, 2)):
        moved = plain.copy()
        top, left = edge + row * PATCH, edge + column * PATCH
        moved[0, top : top + PATCH, left : left + PATCH] = (255, 0, 0)
        change = np.abs(made.encode(moved).astype(np.float32) - base)[0].mean(-1)
        assert change.argmax() == row * SIDE + column
    hidden = hidden_state(net, torch.zeros(1, 3, PX, PX), net.config, 1)
    assert hidden.shape[1] == SIDE**2 + special


def test_layers_behind_the_wanted_one_do_not_run(homes: dict[str, Path]) -> None:
    net = tower("siglip", homes["siglip"])
    ran: list[int] = []
    for number, layer in enumerate(net.encoder.layers):
        layer.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
    hidden_state(net, torch.zeros(1, 3, PX, PX), net.config, 2)
    assert ran == [0, 1]


def test_the_last_layer_is_taken_before_its_norm(homes: dict[str, Path]) -> None:
    net = tower("dinov2", homes["dinov2"])
    pixels = torch.randn(2, 3, PX, PX)
    with torch.inference_mode():
        last = hidden_state(net, pixels, net.config, LAYERS)
        torch.testing.assert_close(net.layernorm(last), net(pixel_values=pixels).last_hidden_state)


def test_frames_do_not_depend_on_their_company_and_bytes_repeat(homes: dict[str, Path]) -> None:
    shown = frames(7, PX)
    together = encoder(homes["clip"]).encode(shown)
    assert encoder(homes["clip"]).encode(shown).tobytes() == together.tobytes()
    for size in (1, 3):
        parted = encoder(homes["clip"], batch_frames=size).encode(shown)
        np.testing.assert_allclose(parted.astype(np.float32), together.astype(np.float32), **HALF)


def test_the_digest_names_what_is_computed_and_nothing_else(homes: dict[str, Path], tmp_path: Path) -> None:
    first = encoder(homes["clip"]).digest
    moved = shutil.copytree(homes["clip"], tmp_path / "moved")
    assert encoder(moved).digest == first
    assert encoder(moved, batch_frames=3, device="cpu").digest == first
    described = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(described | {"transformers_version": "9", "_name": "x"}))
    assert encoder(moved).digest == first
    others = [encoder(moved, **change).digest for change in ({"layer": -1}, {"grid": 3}, {"input_px": 64})]
    others.append(encoder(write_vision(tmp_path / "weights", "clip", seed=1)).digest)
    processor("clip", image_mean=[0.1, 0.2, 0.3]).save_pretrained(moved)
    others.append(encoder(moved).digest)
    assert len({first, *others}) == 1 + len(others)


def test_weights_that_change_under_way_change_the_digest(homes: dict[str, Path], tmp_path: Path) -> None:
    home = shutil.copytree(homes["siglip_vision"], tmp_path / "home")
    before = encoder(home).digest
    write_vision(home, "siglip_vision", seed=2)
    assert encoder(home).digest != before


def test_frames_of_another_size_are_refused(homes: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=rf"uint8 \[T, {PX}, {PX}, 3\]"):
        encoder(homes["clip"]).encode(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        encoder(homes["clip"]).encode(np.zeros((1, PX, PX, 3), np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": -4}, "encoder.layer is -4, but .* has 3 layers"),
        ({"grid": 5}, "encoder.grid is 5, but .* 4 × 4 patches"),
    ],
)
def test_what_the_model_does_not_have_is_named(
    change: dict[str, Any], message: str, homes: dict[str, Path]
) -> None:
    with pytest.raises(UserError, match=message):
        encoder(homes["clip"], **change)


def test_the_gpu_is_used_where_torch_has_one(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder(homes["clip"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert made.device == "cpu" and encoder_processes(made, 4) == 4
    with pytest.raises(UserError, match=r"encoder\.device is cuda, but torch finds no GPU"):
        encoder(homes["clip"], device="cuda").encode(frames(1, PX))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # Each process would hold the weights on the GPU again.
    assert made.device == "cuda" and encoder_processes(made, 4) == 1
    assert encoder(homes["clip"], device="cpu").device == "cpu"


def refused(home: Path) -> str:
    with pytest.raises(UserError) as caught:
        made = encoder(home)
        made.encode(frames(1, made.input_px))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_at_the_path_is_said_in_one_line(tmp_path: Path) -> None:
    assert "no such folder; name one in the Hugging Face layout, or a hub id" in refused(tmp_path / "nowhere")
    assert "hub id while there is a network" in refused(Path("no/such/repository"))
    assert "cannot be loaded" in refused(tmp_path)


def test_a_model_without_a_vision_tower_is_refused(tmp_path: Path) -> None:
    hf.BertConfig().save_pretrained(tmp_path / "bert")
    assert "a bert model has no vision tower" in refused(tmp_path / "bert")
    hf.ResNetConfig().save_pretrained(tmp_path / "resnet")
    assert "a resnet model has no vision tower" in refused(tmp_path / "resnet")


def test_siglip_2_of_variable_resolution_is_refused_with_what_to_use(tmp_path: Path) -> None:
    vision = {name: value for name, value in TOWER.items() if name != "image_size"}
    hf.Siglip2Config(text_config=TEXT, vision_config=vision).save_pretrained(tmp_path)
    assert "NaFlex" in (message := refused(tmp_path)) and "siglip2-base-patch16-224" in message


def test_a_tower_that_hides_patches_is_refused(tmp_path: Path) -> None:
    hf.ViTMAEModel(hf.ViTMAEConfig(**TOWER)).save_pretrained(tmp_path)
    processor("siglip").save_pretrained(tmp_path)
    assert "not a token for each" in refused(tmp_path)


def without(weights: Path, beginning: str) -> None:
    """The file without the tensors whose names begin so."""
    tensors = load_file(weights)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(beginning)}
    assert len(kept) < len(tensors)
    save_file(kept, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("processor", "no preprocessor_config.json that can be read"),
        ("weights", r"lacks model.safetensors: only safetensors"),
        ("cut", "cannot be loaded"),
        ("part", "the weights lack encoder.layers.1"),
        ("size", "gives 48 pixels, but .* reads 32"),
        ("oblong", "resize_px: .*squares of one size"),
        ("filter", "resample: .*squares of one size"),
    ],
)
def test_what_is_damaged_or_missing_is_named(
    damage: str, message: str, homes: dict[str, Path], tmp_path: Path
) -> None:
    home = shutil.copytree(homes["siglip"], tmp_path / "home")
    weights = home / "model.safetensors"
    match damage:
        case "processor":
            (home / "preprocessor_config.json").unlink()
        case "weights":
            weights.unlink()
        case "cut":
            weights.write_bytes(weights.read_bytes()[:100])
        case "part":
            without(weights, "vision_model.encoder.layers.1.")
        case "size":
            processor("siglip").__class__(size={"height": 48, "width": 48}).save_pretrained(home)
        case "oblong":
            processor("siglip").__class__(size={"height": 48, "width": 32}).save_pretrained(home)
        case "filter":
            processor("siglip").__class__(size={"height": 32, "width": 32}, resample=1).save_pretrained(home)
    if damage == "weights":
        with pytest.raises(UserError, match=message):
            _ = encoder(home).digest
        return
    assert re.search(message, refused(home))


def test_a_head_that_is_not_there_is_not_missed(homes: dict[str, Path], tmp_path: Path) -> None:
    home = shutil.copytree(homes["siglip_vision"], tmp_path / "home")
    without(home / "model.safetensors", "head.")
    shown = frames(2, PX)
    assert encoder(home).encode(shown).tobytes() == encoder(homes["siglip_vision"]).encode(shown).tobytes()


def test_parameters_name_it_by_its_kind(homes: dict[str, Path]) -> None:
    given = {"kind": "huggingface", "path": str(homes["clip"]), "grid": 2}
    assert build_encoder(EncoderConfig.model_validate(given)).digest == encoder(homes["clip"]).digest
