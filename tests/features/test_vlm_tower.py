"""A video-language model's own tower as frame encoder: what transformers computes, frame by frame."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import (
    DecodedClips,
    EncoderConfig,
    VLMTowerConfig,
    build_encoder,
    extract_features,
)
from d2vlm_pipeline.features.vlm_tower import VLMTower, normalised, patches_of
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, build_video_table
from model.vlm import ARCHITECTURES, MERGE, PATCH, PX, SIDE, VISION, WIDTH, frames, tower_config, write_vlm
from video.clips import steady_ms, write_clip


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp(request.param), request.param)


def processor(home: Path) -> Qwen2VLImageProcessorPil:
    """Their preprocessing, told to keep the size."""
    pixels = json.loads((home / "preprocessor_config.json").read_text())
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": PX * PX, "longest_edge": PX * PX}, patch_size=PATCH, merge_size=MERGE, **pixels
    )


def their_levels(home: Path, count: int) -> list[torch.Tensor]:
    """Features of every frame by the whole model of transformers, [T, SIDE, SIDE, D] a level."""
    inputs = processor(home)(list(frames(count)), return_tensors="pt")
    model = AutoModelForImageTextToText.from_pretrained(home).eval()
    with torch.no_grad():
        found = model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    levels = [torch.cat(list(found.pooler_output))]
    if model.config.model_type == "qwen3_vl":
        levels += [torch.cat(list(level)) for level in found.deepstack_features]
    return [level.unflatten(0, (count, SIDE, SIDE)) for level in levels]


def test_pixels_become_what_their_processor_makes_of_them(home: Path) -> None:
    expected = processor(home)(list(frames(3)), return_tensors="pt")["pixel_values"]
    pixels = json.loads((home / "preprocessor_config.json").read_text())
    settings = AutoModelForImageTextToText.from_pretrained(home).config.vision_config
    found = patches_of(
        normalised(torch.from_numpy(frames(3)), pixels["image_mean"], pixels["image_std"]), settings
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_without_pooling_the_tokens_are_those_of_the_whole_model(home: Path) -> None:
    tower = VLMTower(tower_config(home, grid=SIDE))
    found = torch.from_numpy(tower.encode(frames(5))).float()
    expected = torch.cat([level.flatten(1, 2) for level in their_levels(home, 5)], dim=-1)
    assert found.shape[1:] == tower.shape_NC == (SIDE**2, expected.shape[-1])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)  # stored in half precision


def test_a_grid_holds_the_means_of_its_cells(home: Path) -> None:
    found = torch.from_numpy(VLMTower(tower_config(home, grid=2)).encode(frames(3))).float()
    (first, *_) = their_levels(home, 3)
    half = SIDE // 2
    cells = [first[:, :half, :half], first[:, :half, half:], first[:, half:, :half], first[:, half:, half:]]
    expected = torch.stack([cell.mean(dim=(1, 2)) for cell in cells], dim=1)
    torch.testing.assert_close(found[..., :WIDTH], expected, atol=2e-3, rtol=2e-3)


def test_a_frame_has_its_features_whatever_stands_beside_it(home: Path) -> None:
    tower = VLMTower(tower_config(home))
    together, clip = tower.encode(frames(5)), frames(5)
    alone = np.concatenate([tower.encode(clip[at : at + 1]) for at in range(5)])
    np.testing.assert_allclose(together.astype(np.float32), alone.astype(np.float32), atol=2e-3)
    assert together.dtype == np.float16
    assert np.abs(together[0] - together[1]).max() > 0.05


def test_the_digest_knows_weights_pixels_and_grid_and_not_the_place(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in home.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    digest = VLMTower(tower_config(home)).digest
    assert VLMTower(tower_config(copy)).digest == digest
    assert VLMTower(tower_config(home).model_copy(update={"batch_frames": 1})).digest == digest
    assert VLMTower(tower_config(home, grid=3)).digest != digest
    pixels = json.loads((copy / "preprocessor_config.json").read_text()) | {"image_std": [0.5, 0.5, 0.5]}
    (copy / "preprocessor_config.json").write_text(json.dumps(pixels))
    assert VLMTower(tower_config(copy)).digest != digest


def test_only_the_tower_s_weights_count(home: Path, tmp_path: Path) -> None:
    """A language model tuned further keeps the features that its tower has made."""
    model = AutoModelForImageTextToText.from_pretrained(home)
    digests = []
    for name, touched in (("text", model.lm_head), ("tower", model.model.visual.merger)):
        with torch.no_grad():
            for parameter in touched.parameters():
                parameter.add_(0.01)
        model.save_pretrained(tmp_path / name)
        pixels = (home / "preprocessor_config.json").read_text()
        (tmp_path / name / "preprocessor_config.json").write_text(pixels)
        digests.append(VLMTower(tower_config(tmp_path / name)).digest)
    assert digests[0] == VLMTower(tower_config(home)).digest != digests[1]


def test_the_configuration_names_it(home: Path) -> None:
    values = {"kind": "vlm_tower", "path": str(home), "input_px": PX}
    config = EncoderConfig.model_validate(values)
    assert isinstance(config, VLMTowerConfig) and isinstance(build_encoder(config), VLMTower)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"input_px": PX + PATCH}, "needs a multiple of 8"), ({"grid": SIDE + 1}, "4 tokens a side")],
)
def test_sizes_that_do_not_suit_are_refused(home: Path, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        VLMTower(tower_config(home).model_copy(update=changes))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", '{"model_type": "llama"}', "llama is no video-language model of a known type"),
        ("config.json", None, "cannot be loaded .*; name a folder in the Hugging Face layout"),
        ("preprocessor_config.json", None, "preprocessor_config.json is missing"),
        ("preprocessor_config.json", "{}", "image_mean or image_std is missing"),
        ("model.safetensors", None, "lacks model.safetensors.*; fetch them, or name another folder"),
        ("model.safetensors", "{}", r"model\.safetensors: damaged .*; fetch the model again"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_named(
    home: Path, tmp_path: Path, file: str, text: str | None, message: str
) -> None:
    for given in home.iterdir():
        (tmp_path / given.name).write_bytes(given.read_bytes())
    (tmp_path / file).unlink()
    if text is not None:
        (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        VLMTower(tower_config(tmp_path)).digest  # noqa: B018
    assert "\n" not in str(caught.value)


def test_weights_of_another_tower_are_refused(home: Path, tmp_path: Path) -> None:
    for given in home.iterdir():
        (tmp_path / given.name).write_bytes(given.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["vision_config"]["depth"] = VISION["depth"] + 1
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"do not fit config\.json"):
        VLMTower(tower_config(tmp_path)).encode(frames(1))


def test_frames_of_another_size_are_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        VLMTower(tower_config(home)).encode(np.zeros((1, PX, PX - 8, 3), dtype=np.uint8))


@pytest.mark.slow
def test_videos_are_encoded_alike_in_workers_and_on_the_spot(home: Path, tmp_path: Path) -> None:
    policy, limits, config = SamplingPolicy(fps=2.0), DecodeLimits(), tower_config(home)
    write_clip(tmp_path / "clip.mp4", steady_ms(20))
    rows = list(build_video_table(tmp_path, ["clip.mp4"], limits, policy, workers=1))
    (stored,) = extract_features(rows, policy, config, limits, 1)
    features, timebase = DecodedClips(policy, config, limits).clip(str(tmp_path / "clip.mp4"))
    assert stored.timebase == timebase and stored.features_TNC.shape[:2] == (4, 4)
    np.testing.assert_allclose(stored.features_TNC.astype(np.float32), features.astype(np.float32), atol=2e-3)
