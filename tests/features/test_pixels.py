"""Preprocessing in torch gives the pixels that the model's own image processor gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from d2vlm_pipeline.features.pixels import read_preprocessing
from features.test_huggingface import frames
from features.vision import MODELS, PX, processor

NAMES = [name for name in MODELS if name in ("clip", "siglip", "dinov2")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [None, 2 * PX, 3 * PX + 5, PX - 9])
def test_they_are_those_of_the_library_s_processor(name: str, side: int | None, tmp_path: Path) -> None:
    theirs = processor(name)
    theirs.save_pretrained(tmp_path)
    ours = read_preprocessing(tmp_path, PX)
    shown = frames(2, side or ours.resize_px)
    expected = theirs(list(shown), return_tensors="pt")["pixel_values"]
    found = ours(torch.from_numpy(shown))
    assert found.shape == expected.shape == (2, 3, PX, PX)
    # Where something is resized: Pillow rounds after rows and after columns, we once.
    levels = 0.01 if side is None else 1.01 if side > PX else 2.01
    assert (found - expected).abs().max() <= levels * ours.scale / min(ours.std)


def test_steps_that_are_switched_off_are_left_out(tmp_path: Path) -> None:
    off = {f"do_{step}": False for step in ("resize", "center_crop", "rescale", "normalize")}
    processor("clip", **off).save_pretrained(tmp_path)
    ours = read_preprocessing(tmp_path, 24)
    assert (ours.resize_px, ours.crop_px) == (24, 24)
    shown = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    assert torch.equal(ours(torch.from_numpy(shown)), torch.from_numpy(shown).permute(0, 3, 1, 2).float())


def test_old_files_that_give_bare_numbers_are_read(tmp_path: Path) -> None:
    """As the first CLIP checkpoints on the hub have them."""
    (tmp_path / "preprocessor_config.json").write_text(
        '{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,'
        '"feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.5, 0.5, 0.5],'
        '"image_std": [0.25, 0.25, 0.25], "resample": 3, "size": 224}'
    )
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    ours = read_preprocessing(tmp_path, 32)
    assert (ours.resize_px, ours.crop_px, ours.resample) == (224, 224, "bicubic")
    assert ours.scale == pytest.approx(1 / 255) and ours.std == (0.25, 0.25, 0.25)
