"""Preference training says when its pairs are spent, and when it wins by pushing both sides down."""

import pytest

from d2vlm_pipeline.training.watch import PreferenceWatch


def point(
    step: float = 20.0, p10: float = 0.1, text: float = -4.0, grounding: float = -0.5
) -> dict[str, float]:
    return {"step": step, "margin_p10": p10, "chosen_text": text, "chosen_grounding": grounding}


def test_an_ordinary_run_is_not_commented() -> None:
    watch, points = PreferenceWatch(), []
    for at in range(1, 6):
        points.append(point(20.0 * at, p10=0.5 * at, text=-4.0 + 0.1 * at))
        assert watch(points) == []


def test_saturation_is_said_once() -> None:
    watch = PreferenceWatch()
    (said,) = watch([point(), point(40.0, p10=6.0)])
    assert "6.0 at step 40" in said and "beta_text" in said
    assert watch([point(), point(40.0, p10=6.0), point(60.0, p10=7.0)]) == []


@pytest.mark.parametrize(("text", "grounding"), [(-5.0, -0.5), (-4.0, -1.5)])
def test_a_fall_of_the_chosen_side_is_said_once(text: float, grounding: float) -> None:
    watch = PreferenceWatch()
    fallen = [point(), point(40.0, text=text, grounding=grounding)]
    (said,) = watch(fallen)
    assert "-4.50 to -5.50 at step 40" in said
    assert watch([*fallen, fallen[-1]]) == []


def test_a_window_without_pairs_is_no_saturation() -> None:
    empty = point()
    del empty["margin_p10"]
    assert PreferenceWatch()([empty]) == []
