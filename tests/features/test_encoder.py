"""The frame encoder: a frozen network plus colour, each cell of a small grid on its own."""

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from d2vlm_pipeline.features import EfficientNetConfig, build_encoder
from d2vlm_pipeline.features.encoder import EfficientNetLite0, _load_folded, _two_maps, _weights_path

SIDE = 96
CELL = SIDE // 3
MAPS, COLOURS, HUES = 432, 27, 6
PAINT = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (255, 0, 255),
    "white": (255, 255, 255),
}


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite0:
    return EfficientNetLite0(EfficientNetConfig(input_px=SIDE))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE, 3), dtype=np.uint8)


def painted(top: int, left: int, side: int, colour: tuple[int, int, int]) -> np.ndarray:
    """One black frame with a coloured square, uint8 [1, S, S, 3]."""
    frame_THWC = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    frame_THWC[0, top : top + side, left : left + side] = colour
    return frame_THWC


def parts(features_TNC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one frame: mean colour [3, 3, RGB, 3, 3], strongest and mean chroma [3, 3, hue] each, by cell."""
    tokens_NC = features_TNC[0, :, MAPS:].astype(np.float32)
    colour, strongest, mean = np.split(tokens_NC, [COLOURS, COLOURS + HUES], axis=1)
    return colour.reshape(3, 3, 3, 3, 3), strongest.reshape(3, 3, HUES), mean.reshape(3, 3, HUES)


@pytest.mark.parametrize("grid", [2, 3])
def test_a_frame_becomes_as_many_tokens_as_the_grid_has_cells(grid: int, noise: np.ndarray) -> None:
    encoder = build_encoder(EfficientNetConfig(input_px=SIDE, grid=grid))
    features_TNC = encoder.encode(noise[:2])
    assert features_TNC.shape == (2, *encoder.shape_NC) == (2, grid**2, 471)
    assert features_TNC.dtype == np.float16 and np.isfinite(features_TNC).all()
    assert len(np.unique(features_TNC[0].std(axis=0))) > 100


@pytest.mark.parametrize(
    "frames_THWC",
    [
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.float32),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
    ],
)
def test_other_frames_are_refused(frames_THWC: np.ndarray, encoder: EfficientNetLite0) -> None:
    with pytest.raises(ValueError, match=rf"uint8 \[T, {SIDE}, {SIDE}, 3\]"):
        encoder.encode(frames_THWC)


def test_the_digest_names_what_is_computed_and_nothing_else() -> None:
    plain = EfficientNetConfig(input_px=SIDE)
    digests = {
        build_encoder(config).digest
        for config in (
            plain,
            EfficientNetConfig(input_px=SIDE, grid=4),
            EfficientNetConfig(input_px=SIDE + 32),
        )
    }
    assert len(digests) == 3
    by_five = EfficientNetConfig(input_px=SIDE, batch_frames=5)
    assert build_encoder(by_five).digest == build_encoder(plain).digest
    # The weights count too.
    assert build_encoder(plain).digest != plain.digest


def test_the_same_frames_give_the_same_bytes(encoder: EfficientNetLite0, noise: np.ndarray) -> None:
    again = EfficientNetLite0(EfficientNetConfig(input_px=SIDE))
    assert encoder.encode(noise).tobytes() == again.encode(noise).tobytes()


def test_frames_do_not_depend_on_their_company(encoder: EfficientNetLite0, noise: np.ndarray) -> None:
    together = encoder.encode(noise).astype(np.float32)
    by_three = EfficientNetLite0(EfficientNetConfig(input_px=SIDE, batch_frames=3)).encode(noise)
    alone = np.concatenate([encoder.encode(noise[index : index + 1]) for index in range(len(noise))])
    # Half precision keeps about three digits.
    np.testing.assert_allclose(by_three.astype(np.float32), together, rtol=3e-3, atol=3e-3)
    np.testing.assert_allclose(alone.astype(np.float32), together, rtol=3e-3, atol=3e-3)


@torch.inference_mode()
def test_folding_the_batch_norms_changes_nothing(noise: np.ndarray) -> None:
    plain = EfficientNet.from_name("efficientnet-lite0")
    plain.load_state_dict(torch.load(_weights_path(), map_location="cpu", weights_only=True))
    plain.eval()
    folded = _load_folded()
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules()) > 40
    # The norm before the classifier is behind the last map.
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules()) == 1
    frames_TCHW = torch.from_numpy(noise[:2]).permute(0, 3, 1, 2).float() / 255
    for ours, theirs in zip(_two_maps(folded, frames_TCHW), _two_maps(plain, frames_TCHW), strict=True):
        assert theirs.abs().max() > 1
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_the_maps_lie_before_and_behind_the_network_s_deepest_layers(noise: np.ndarray) -> None:
    middle, last = _two_maps(_load_folded(), torch.zeros(1, 3, 128, 128))
    assert middle.shape == (1, 112, 8, 8) and last.shape == (1, 320, 4, 4)


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_colour_stays_in_its_cell_and_channel(row: int, column: int, encoder: EfficientNetLite0) -> None:
    # A red square that fills the middle of the cell's own 3×3 grid but for one pixel around.
    frame_THWC = painted(row * CELL + 12, column * CELL + 12, 8, PAINT["red"])
    colour, strongest, mean = parts(encoder.encode(frame_THWC))
    where = np.zeros((3, 3, 3, 3, 3), bool)
    where[row, column, 0] = True
    assert colour[where].max() > 0.4 and not colour[~where].any()
    assert np.unravel_index(colour.argmax(), colour.shape) == (row, column, 0, 1, 1)
    cells = np.zeros((3, 3), bool)
    cells[row, column] = True
    for chroma in (strongest[..., 0], mean[..., 0]):
        assert chroma[cells] > 0 and not (chroma[~cells] > 0).any()


@pytest.mark.parametrize("hue, colour", list(enumerate(PAINT)))
def test_each_hue_has_a_channel_of_its_own(hue: int, colour: str, encoder: EfficientNetLite0) -> None:
    _, strongest, mean = parts(encoder.encode(painted(CELL + 8, CELL + 8, 16, PAINT[colour])))
    assert strongest[1, 1].argmax() == hue and strongest[1, 1, hue] == pytest.approx(1.0, abs=0.01)
    assert np.delete(strongest[1, 1], hue).max() <= 0.01
    assert mean[1, 1].argmax() == hue


def test_a_small_object_keeps_its_chroma_where_the_mean_drowns_it(encoder: EfficientNetLite0) -> None:
    frame_THWC = painted(0, 0, SIDE, (90, 90, 90))
    frame_THWC[0, CELL + 12 : CELL + 20, CELL + 12 : CELL + 20] = PAINT["red"]
    colour, strongest, mean = parts(encoder.encode(frame_THWC))
    assert strongest[1, 1, 0] > 0.9
    assert mean[1, 1, 0] < 0.1
    assert colour[1, 1].mean(axis=(1, 2))[0] < 0.5


def test_what_a_map_sees_moves_with_the_object(encoder: EfficientNetLite0) -> None:
    """The cell that holds the only object differs most from an empty frame, in the network's maps too."""
    empty = encoder.encode(painted(0, 0, SIDE, (0, 0, 0)))[0, :, :112].astype(np.float32)
    for row, column in ((0, 0), (0, 2), (1, 1), (2, 1)):
        frame_THWC = painted(row * CELL + 4, column * CELL + 4, CELL - 8, PAINT["yellow"])
        change_N = np.abs(encoder.encode(frame_THWC)[0, :, :112].astype(np.float32) - empty).mean(axis=1)
        assert int(change_N.argmax()) == 3 * row + column
