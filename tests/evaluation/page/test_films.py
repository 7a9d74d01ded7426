import base64
import io

import numpy as np
import pytest
from PIL import Image

from d2vlm_pipeline.evaluation.page.blocks import Film
from d2vlm_pipeline.evaluation.page.films import CELLS, MOST_BYTES, film, films_of
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoError, VideoRow, build_video_table
from video.clips import number_of, steady_ms, write_clip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRow]:
    """A clip of 100 frames in 10 s, a short one of two frames, an upright one, and one that is gone."""
    folder = tmp_path_factory.mktemp("films")
    write_clip(folder / "long.mp4", steady_ms(100))
    write_clip(folder / "short.mp4", steady_ms(2))
    write_clip(folder / "upright.mp4", steady_ms(20), size=(48, 96))
    write_clip(folder / "zone.mp4", steady_ms(20))
    names = ["long.mp4", "short.mp4", "upright.mp4", "zone.mp4"]
    table = list(build_video_table(folder, names, DecodeLimits(), SamplingPolicy(), 1))
    (folder / "zone.mp4").unlink()
    return table


def cells(row: Film) -> list[np.ndarray]:
    data = base64.b64decode(row.uri.removeprefix("data:image/webp;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert picture.shape == (row.height, row.width, 3)
    return np.split(picture, CELLS, axis=1)


def test_each_picture_shows_the_middle_of_its_stretch(rows: list[VideoRow]) -> None:
    found = dict(films_of(rows, DecodeLimits(), 2))
    row = found["long.mp4"]
    assert isinstance(row, Film) and row.width == CELLS * 112
    numbers = [number_of(cell) for cell in cells(row)]
    assert np.abs(np.array(numbers) - (5 + 10 * np.arange(CELLS))).max() <= 3
    assert dict(films_of(rows[:3], DecodeLimits(), 1)) == {name: found[name] for name in list(found)[:3]}


def test_busy_frames_are_drawn_coarser() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (CELLS, 112, 112, 3), dtype=np.uint8)
    plain = np.full_like(noise, 90)
    assert film(plain, 16 / 9).height == 84 and film(noise, 16 / 9).height < 84
    assert len(film(noise, 16 / 9).uri) < 1.4 * MOST_BYTES


def test_proportions_are_those_of_the_video(rows: list[VideoRow]) -> None:
    row = dict(films_of(rows, DecodeLimits(), 1))["upright.mp4"]
    assert isinstance(row, Film)
    assert (row.width / CELLS, row.height) == (42, 84)


def test_a_video_of_few_frames_repeats_them(rows: list[VideoRow]) -> None:
    row = dict(films_of(rows, DecodeLimits(), 1))["short.mp4"]
    assert isinstance(row, Film)
    numbers = [number_of(cell) for cell in cells(row)]
    assert numbers == sorted(numbers) and set(numbers) == {0, 1}


def test_a_video_that_is_gone_is_said_to_be(rows: list[VideoRow]) -> None:
    found = dict(films_of(rows, DecodeLimits(), 1))["zone.mp4"]
    assert isinstance(found, VideoError) and "zone.mp4" in found.message
