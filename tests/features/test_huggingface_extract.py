"""Videos → store with a Hugging Face encoder, as the features pipeline does it, and straight from a file."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import (
    DecodedClips,
    EncoderConfig,
    FeatureStream,
    StoredClips,
    build_encoder,
    extract_features,
    load_store,
    save_store,
)
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from d2vlm_pipeline.video.decode import decode_frames
from features.vision import WIDTH, write_vision
from video.clips import steady_ms, write_clip

POLICY, LIMITS = SamplingPolicy(fps=2.0), DecodeLimits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("footage")
    for seconds in (1, 2):
        write_clip(root / f"clip{seconds}.mp4", steady_ms(10 * seconds))
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    """As a parameter file would give it: decoded at 40 pixels, of which the middle 32 are seen."""
    home = write_vision(tmp_path_factory.mktemp("dinov2"), "dinov2")
    return EncoderConfig.model_validate({"kind": "huggingface", "path": str(home), "grid": 2})


def rows(folder: Path) -> list[VideoRow]:
    names = sorted(path.name for path in folder.iterdir())
    return list(build_video_table(folder, names, LIMITS, POLICY, workers=1))


@pytest.mark.slow
def test_extraction_fills_a_store_that_this_encoder_alone_finds(
    folder: Path, config: EncoderConfig, tmp_path: Path
) -> None:
    table = rows(folder)
    encoder = build_encoder(config)
    find = partial(extract_features, policy=POLICY, config=config, limits=LIMITS, workers=1)
    wanted = FeatureStream.of(table, POLICY.digest, encoder.digest, find)
    (tmp_path / "store").mkdir()
    save_store(wanted, tmp_path / "store", tmp_path / "cache", tmp_path / "published")
    store = load_store(tmp_path / "store")
    clips = StoredClips.of(store, table, POLICY, encoder.digest)
    for seconds in (1, 2):
        features_TNC, timebase = clips.clip(f"clip{seconds}.mp4")
        assert features_TNC.shape == (2 * seconds, 4, WIDTH) == (len(timebase), *encoder.shape_NC)
        shown, _ = decode_frames(folder / f"clip{seconds}.mp4", POLICY, 40, LIMITS)
        expected = encoder.encode(shown).astype(np.float32)
        np.testing.assert_allclose(features_TNC.astype(np.float32), expected, rtol=3e-3, atol=3e-3)
    other = build_encoder(config.model_copy(update={"layer": -1}))
    with pytest.raises(UserError, match="another encoder"):
        StoredClips.of(store, table, POLICY, other.digest).clip("clip1.mp4")


def test_a_file_is_decoded_at_the_size_that_the_model_reads(folder: Path, config: EncoderConfig) -> None:
    features_TNC, timebase = DecodedClips(POLICY, config, LIMITS).clip(str(folder / "clip2.mp4"))
    assert build_encoder(config).input_px == 40
    assert features_TNC.shape == (4, 4, WIDTH) and len(timebase) == 4
    assert len(np.unique(features_TNC)) > 50
