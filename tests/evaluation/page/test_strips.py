"""Answers as pictures: which are chosen, and that intervals lie where they are."""

import io

import numpy as np
from PIL import Image

from d2vlm_pipeline.evaluation.page.films import CELLS, film
from d2vlm_pipeline.evaluation.page.strips import chosen_pairs, load_strips, save_strips, strip
from d2vlm_pipeline.evaluation.pairs import Pair
from evaluation.scoring_records import places, sample, truth

GREEN, BLUE, RAIL = (46, 125, 50), (25, 90, 200), (235, 235, 235)


def frames() -> np.ndarray:
    return np.full((CELLS, 36, 48, 3), 120, np.uint8)


def pixels(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.width) == ("PNG", 960)
    return np.asarray(image.convert("RGB"))


def columns(picture_HWC: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where along the picture a colour is."""
    return np.flatnonzero((picture_HWC == colour).all(axis=-1).any(axis=0))


def test_intervals_lie_where_they_are_on_the_clip_s_time() -> None:
    asked = sample("tvg")
    (true,) = asked.intervals
    said = places(asked, [(8.0, 10.0)])
    picture = pixels(strip(Pair(asked, said), 10.0, film(frames(), 4 / 3)))
    width = 960 - 90
    green, blue = columns(picture, GREEN), columns(picture, BLUE)
    for found, (start_s, end_s) in ((green, (true.start_s, true.end_s)), (blue, (8.0, 10.0))):
        assert abs(found.min() - (90 + start_s / 10 * width)) <= 2
        assert abs(found.max() - (90 + end_s / 10 * width)) <= 2


def test_the_same_answer_is_the_same_picture_and_another_is_another() -> None:
    asked = sample("tvg")
    row = film(frames(), 4 / 3)
    one = strip(Pair(asked, truth(asked)), 10.0, row)
    assert one == strip(Pair(asked, truth(asked)), 10.0, row)
    assert one != strip(Pair(asked, places(asked, [(0.0, 1.0)])), 10.0, row)


def test_a_long_or_unread_answer_still_fits() -> None:
    asked = sample("tvg")
    said = truth(asked).model_copy(update={"answer": "word\n" * 500, "raw": "x"})
    assert pixels(strip(Pair(asked, said), 10.0, film(frames(), 4 / 3))).shape[0] < 500


def test_every_grounded_task_has_its_turn_and_what_was_not_answered_has_none() -> None:
    tvg = [sample("tvg", key=key) for key in ("b", "a", "c")]
    dvc = sample("dvc", key="a")
    pairs = [*(Pair(one, truth(one)) for one in (*tvg[:2], dvc)), Pair(tvg[2], None)]
    chosen = chosen_pairs(pairs, 6)
    assert sorted(pair.sample.task for pair in chosen[:2]) == ["dvc", "tvg"]
    assert len(chosen) == 3 and len(chosen_pairs(pairs, 1)) == 1


def test_pictures_are_saved_by_name(tmp_path) -> None:
    save_strips({"01-tvg": b"one"}, tmp_path)
    assert load_strips(tmp_path) == {"01-tvg": b"one"}
