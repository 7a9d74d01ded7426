"""Intervals cover and p-values are fair, as often as they say, over many sets of videos drawn at random."""

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.comparison import compare
from d2vlm_pipeline.evaluation.benchmarks.files import Row
from d2vlm_pipeline.evaluation.benchmarks.records import Scored
from d2vlm_pipeline.evaluation.bootstrap import estimates
from evaluation.benchmarks.toy import TOY

VIDEOS, EACH, SETS, RESAMPLES = 40, 3, 300, 400


def scored(values_VE: np.ndarray) -> Scored:
    rows = [
        Row("", {"id": f"{video}/{query}", "video": f"v{video:02}", "value": float(value)})
        for video, values in enumerate(values_VE)
        for query, value in enumerate(values)
    ]
    return TOY.score(rows, False)


def answers(rng: np.random.Generator, skill_V: np.ndarray) -> np.ndarray:
    """Right or wrong by query, [V, E]; some videos are easier than others, for everybody."""
    return rng.uniform(size=(len(skill_V), EACH)) < skill_V[:, None]


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(SETS):
        found = scored(answers(rng, rng.beta(1, 1, size=VIDEOS)))
        (one,) = estimates([found.measures[0].contribution], RESAMPLES, 0.95, seed=0)
        assert one is not None
        held += one.low <= 0.5 <= one.high
    assert 0.90 <= held / SETS <= 0.99


def test_two_of_equal_skill_are_told_apart_as_often_as_the_p_value_says() -> None:
    rng, p_values = np.random.default_rng(1), []
    for _ in range(SETS):
        skill_V = rng.beta(1, 1, size=VIDEOS)
        ours, other = (scored(answers(rng, skill_V)) for _ in range(2))
        p_values.append(compare(ours, other, RESAMPLES, 0.95, seed=0).differences[0].p_value)
    for level in (0.05, 0.2, 0.5):
        share = np.mean(np.array(p_values) <= level)
        assert share <= level + 3 * np.sqrt(level * (1 - level) / SETS)
        assert share >= 0.4 * level


def test_a_better_one_is_told_apart() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(20):
        skill_V = rng.beta(1, 1, size=VIDEOS)
        ours, other = scored(answers(rng, 0.3 + 0.7 * skill_V)), scored(answers(rng, skill_V))
        found.append(compare(ours, other, RESAMPLES, 0.95, seed=0).differences[0].p_value)
    assert np.median(found) < 0.05
