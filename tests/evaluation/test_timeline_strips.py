import io

import numpy as np
import pytest
from PIL import Image

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import Pair, choose_strips, render_strips
from d2vlm_pipeline.evaluation.strip_page import _levels
from d2vlm_pipeline.evaluation.strips import strip_of
from d2vlm_pipeline.timeline import TASKS, Interval
from evaluation.scoring_records import demo_world, places, predict, sample, truth


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_strip_holds_question_truth_and_both_halves() -> None:
    asked = sample("tem", [(4.0, 6.0)]).model_copy(
        update={"question": "What is like <evi>?", "query_intervals": ((1.0, 2.0),)}
    )
    strip = strip_of(Pair(asked, places(asked, answer=[(5, 7)], evidence=[(4, 7)])), {"s0.mp4": 10.0})
    assert (strip.task, strip.question) == ("tem", "What is like 1.0 - 2.0 s?")
    assert strip.is_right is None
    assert strip.truth_text == "The event happens in 4.0 - 6.0 s."
    assert strip.answer_text == "It happens in 5.0 - 7.0 s."
    spans = {name: [(i.start_s, i.end_s) for i in lane] for name, lane in strip.lanes.items()}
    assert spans == {"question": [(1, 2)], "truth": [(4, 6)], "evidence": [(4, 7)], "answer": [(5, 7)]}


def test_lanes_without_meaning_are_left_out() -> None:
    assert list(strip_of(Pair(sample("tvg", []), None), {"s0.mp4": 10.0}).lanes) == [
        "truth",
        "evidence",
        "answer",
    ]
    chosen = sample("mcq", [], right=1)
    strip = strip_of(Pair(chosen, predict(chosen, "</evi>(C) green.")), {"s0.mp4": 10.0})
    assert strip.lanes == {} and strip.is_right is False
    assert render_strips([strip]).startswith(b"\x89PNG")


def test_tasks_take_turns_and_clips_do_not_repeat() -> None:
    samples, durations = demo_world(10)
    predictions = [truth(s) for s in samples]
    strips = choose_strips(samples, predictions, durations, count=8)
    assert len(strips) == 8
    assert [s.task for s in strips] == list(TASKS[:8])
    assert len({s.duration_s for s in strips}) == 8
    assert choose_strips(samples[::-1], predictions[::-1], durations, count=8) == strips
    assert choose_strips(samples, predictions, durations, count=8, seed=1) != strips
    two = choose_strips(samples, predictions, durations, count=3, tasks=("gvq", "tvg"))
    assert [s.task for s in two] == ["gvq", "tvg", "gvq"]


def test_fewer_samples_than_asked_for_give_fewer_strips() -> None:
    s = sample("tvg")
    assert len(choose_strips([s], [truth(s)], {"s0.mp4": 10.0}, count=5)) == 1
    assert choose_strips([s], [], {"s0.mp4": 10.0}) == []
    with pytest.raises(UserError, match=r"s0\.mp4"):
        choose_strips([s], [truth(s)], {})


def test_picture_is_reproducible_and_shows_the_intervals() -> None:
    s = sample("tvg", [(2.0, 6.0)])
    right, wrong = (strip_of(Pair(s, places(s, spans)), {"s0.mp4": 10.0}) for spans in ([(2, 6)], [(7, 9)]))
    first = render_strips([right], heading="fpo on test-iid")
    assert first == render_strips([right], heading="fpo on test-iid")
    assert first.startswith(b"\x89PNG")
    assert (pixels(first) != 255).any()
    assert (pixels(first) != pixels(render_strips([wrong], heading="fpo on test-iid"))).any()
    two = pixels(render_strips([right, wrong]))
    assert two.shape[0] > pixels(render_strips([right])).shape[0]


def test_frames_stand_above_the_lanes() -> None:
    s = sample("tvg")
    green = np.zeros((24, 32, 3), dtype=np.uint8)
    green[..., 1] = 200
    strip = strip_of(Pair(s, truth(s)), {"s0.mp4": 10.0}, [green] * 8)
    picture = pixels(render_strips([strip]))
    assert ((picture == (0, 200, 0)).all(axis=-1)).mean() > 0.1


def test_odd_text_is_drawn_as_it_is() -> None:
    s = sample("rvc", [(0.0, 1.0, "a $ball$ _enters_ \\alpha {")])
    strip = strip_of(Pair(s, predict(s, "</evi>" + "long $words$ \n" * 80)), {"s0.mp4": 10.0})
    assert render_strips([strip]).startswith(b"\x89PNG")


def test_overlapping_intervals_get_levels_of_their_own() -> None:
    rows = [(4.0, 6.0), (0.0, 5.0), (5.0, 7.0), (1.0, 2.0)]
    levels, depth = _levels([Interval(start_s=start, end_s=end) for start, end in rows])
    assert (levels, depth) == ([1, 0, 0, 1], 2)
    assert _levels([]) == ([], 1)


def test_no_strips_are_refused() -> None:
    with pytest.raises(ValueError, match="no strips"):
        render_strips([])
