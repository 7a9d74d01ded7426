import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation.bootstrap import clip_sums, estimate, estimates
from d2vlm_pipeline.evaluation.contributions import Contribution, f1_of_means, ratio
from d2vlm_pipeline.evaluation.metrics import TASK_METRICS
from evaluation.scoring_records import CAPTIONS, captions, context, pairs, places, sample


def mean_contribution(clips, values) -> Contribution:
    rows = np.array([[value, 1.0] for value in values])
    return Contribution(tuple(clips), rows, ratio, 0)


def test_value_is_the_mean_over_samples_and_draws_are_over_clips() -> None:
    made = mean_contribution(["b", "a", "b", "b"], [1, 0, 1, 1])
    assert clip_sums(made).tolist() == [[0, 1], [3, 3]]
    result = estimate(made, 2000, 0.95, seed=0)
    assert result.value == 0.75
    # Two clips: both a, both b, or one of each: nothing else can come out.
    assert (result.low, result.high) == (0.0, 1.0)


def test_questions_on_one_clip_do_not_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, size=40).astype(float)
    clips = [f"{k:02d}" for k in range(40)]
    once = estimate(mean_contribution(clips, hits), 4000, 0.95, seed=1)
    many = estimate(mean_contribution(clips * 10, np.tile(hits, 10)), 4000, 0.95, seed=1)
    assert many == pytest.approx(once)
    spread = np.sqrt(hits.mean() * (1 - hits.mean()) / 40)
    assert once.high - once.low == pytest.approx(2 * 1.96 * spread, rel=0.12)


def test_f1_of_means_is_drawn_from_sums_not_from_per_clip_f1() -> None:
    # Precision only in one clip, recall only in the other: each clip's own F1 is 0, that of the means .5.
    rows = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    result = estimate(Contribution(("a", "b"), rows, f1_of_means, 0), 2000, 0.95, seed=0)
    assert (result.value, result.low, result.high) == (0.5, 0.0, 0.5)


def test_dense_caption_f1_equals_a_plain_loop_over_drawn_clips() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for clip in range(7):
        s = sample("dvc", [(0.0, 4.0, CAPTIONS[0]), (5.0, 9.0, CAPTIONS[1])], f"{clip}")
        spans = [(float(a), float(a) + 4.0, CAPTIONS[0]) for a in rng.uniform(0, 6, size=1 + clip % 3)]
        rows.append((s, captions(s, spans)))
    made = TASK_METRICS["dvc"](pairs(*rows), context())["cap_f1"]
    draws = np.random.default_rng(9).multinomial(7, np.full(7, 1 / 7), size=300)
    looped = []
    for counts in draws:
        stats = np.repeat(made.stats_RS, counts, axis=0).mean(axis=0)
        p, r = stats[:4], stats[4:8]
        looped.append(np.mean([2 * x * y / (x + y) if x + y else 0.0 for x, y in zip(p, r, strict=True)]))
    result = estimate(made, 300, 0.9, seed=9)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(looped, [0.05, 0.95])))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=1, max_size=40), st.randoms())
def test_interval_brackets_the_value_and_ignores_the_order(rows, shuffler) -> None:
    made = mean_contribution([f"{clip}" for clip, _ in rows], [value for _, value in rows])
    result = estimate(made, 400, 0.99, seed=2)
    assert -1e-12 <= result.low <= result.value + 1e-9
    assert result.value - 1e-9 <= result.high <= 1 + 1e-12
    shuffler.shuffle(rows)
    again = estimate(
        mean_contribution([f"{clip}" for clip, _ in rows], [v for _, v in rows]), 400, 0.99, seed=2
    )
    assert again == pytest.approx(result)


def test_one_clip_has_no_spread() -> None:
    result = estimate(mean_contribution(["a", "a"], [1, 0]), 100, 0.95, seed=0)
    assert result == (0.5, 0.5, 0.5)


def test_more_confidence_is_a_wider_interval() -> None:
    made = mean_contribution([f"{k}" for k in range(30)], np.linspace(0, 1, 30))
    narrow, wide = estimate(made, 1000, 0.5, seed=0), estimate(made, 1000, 0.99, seed=0)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_metric_of_few_clips_is_drawn_from_those_clips_only() -> None:
    here = [(s := sample("tvg", key=f"{k}"), places(s, [(2, 6)])) for k in range(9)]
    gone = (sample("tvg", [], "z"), None)
    made = TASK_METRICS["tvg"](pairs(*here, gone), context())["absent_recall"]
    result = estimate(made, 200, 0.95, seed=0)
    assert (len(made.clips), made.unparsed, result) == (1, 1, (0.0, 0.0, 0.0))


def test_many_metrics_at_once_are_each_as_alone() -> None:
    rng = np.random.default_rng(2)
    clips = [f"{k % 6}" for k in range(20)]
    made = [
        mean_contribution(clips, rng.uniform(size=20)),
        mean_contribution(clips[::-1], rng.uniform(size=20)),
        mean_contribution(["x", "y", "x"], [1, 0, 0]),
        Contribution(tuple(clips), rng.uniform(1, 2, size=(20, 3)), f1_of_means, 0),
    ]
    together = estimates(made, 300, 0.95, seed=3)
    assert together == [pytest.approx(estimate(one, 300, 0.95, seed=3)) for one in made]


def test_a_share_of_none_has_no_value_and_draws_of_none_leave_the_interval() -> None:
    nothing = Contribution(("a", "b"), np.zeros((2, 2)), ratio, 0)
    empty = Contribution((), np.zeros((0, 2)), ratio, 0)
    some = Contribution(("a", "b"), np.array([[0.0, 0.0], [1.0, 2.0]]), ratio, 0)
    assert estimates([nothing, empty, some], 200, 0.95, seed=0) == [None, None, (0.5, 0.5, 0.5)]
