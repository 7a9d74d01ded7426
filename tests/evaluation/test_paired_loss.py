"""Two systems on the same clips, against figures worked out by hand."""

from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from d2vlm_pipeline.evaluation.contributions import Contribution, f1_of_means, ratio
from d2vlm_pipeline.evaluation.paired import ClipSums, paired_loss, sums_of

CLIPS = ("a.mp4", "b.mp4")


def sums(*rows: tuple[float, ...], clips: tuple[str, ...] = CLIPS, combine: str = "ratio") -> ClipSums:
    return ClipSums(combine=combine, clips=clips, sums=rows)


def test_the_bound_is_that_of_all_draws_worked_out_by_hand():
    # One question a clip. The champion is right on both, the candidate on the first alone: drawn with
    # replacement, the loss is 0, 50, 50 or 100 points, each with a quarter of the draws.
    theirs, ours = sums((1.0, 1.0), (1.0, 1.0)), sums((1.0, 1.0), (0.0, 1.0))
    losses = [50.0 * (first + second) for first, second in product((0, 1), repeat=2)]
    for confidence in (0.7, 0.8):
        reached = sorted(losses)[int(confidence * len(losses))]
        assert paired_loss(ours, theirs, 4000, confidence, seed=0) == (50.0, reached)
    assert sorted(losses) == [0.0, 50.0, 50.0, 100.0]


def test_what_both_get_wrong_is_no_loss_however_clips_are_drawn():
    same = sums((0.0, 1.0), (3.0, 4.0))
    assert paired_loss(same, same, 200, 0.99, seed=3) == (0.0, 0.0)


def test_clips_count_by_their_questions():
    # 9 of 10 questions are about the first clip: 90 % against 100 %.
    theirs, ours = sums((9.0, 9.0), (1.0, 1.0)), sums((9.0, 9.0), (0.0, 1.0))
    assert paired_loss(ours, theirs, 10, 0.95, seed=0).points == 10.0


def test_means_that_combine_to_an_f1_are_drawn_before_they_combine():
    # (precision, recall, count): the champion finds all, the candidate has half the precision.
    theirs = sums((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), combine="f1_of_means")
    ours = sums((0.5, 1.0, 1.0), (0.5, 1.0, 1.0), combine="f1_of_means")
    loss = paired_loss(ours, theirs, 100, 0.95, seed=0)
    assert loss == pytest.approx((100 - 200 / 3, 100 - 200 / 3))


def test_sums_give_the_score_back_whatever_the_order_of_rows():
    stats = np.array([[1.0, 0.5, 1.0], [0.0, 0.25, 1.0], [1.0, 1.0, 1.0]])
    metric = Contribution(("b.mp4", "a.mp4", "b.mp4"), stats, f1_of_means, unparsed=0)
    found = sums_of(metric)
    assert found.clips == CLIPS and found.sums == ((0.0, 0.25, 1.0), (2.0, 1.5, 2.0))
    assert found.value == pytest.approx(100 * metric.total)
    assert sums_of(Contribution(("a.mp4",), stats[:1, 1:], ratio, unparsed=0)).combine == "ratio"


@pytest.mark.parametrize(
    "other",
    [
        sums((1.0, 1.0), (1.0, 1.0), clips=("a.mp4", "c.mp4")),
        sums((1.0, 1.0), (1.0, 2.0)),
        sums((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), combine="f1_of_means"),
    ],
)
def test_other_clips_other_questions_and_other_metrics_are_not_paired(other):
    ours = sums((1.0, 1.0), (0.0, 1.0))
    assert ours.is_paired_with(sums((0.0, 1.0), (0.0, 1.0))) and not ours.is_paired_with(other)


@pytest.mark.parametrize("rows", [((1.0, 1.0),), ((1.0, 1.0), (1.0, 0.0)), ((1.0, 1.0), (1.0, 1.0, 1.0))])
def test_sums_that_are_no_table_of_clips_are_refused(rows):
    with pytest.raises(ValidationError, match="sums:"):
        sums(*rows)
