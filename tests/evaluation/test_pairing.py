import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import match_predictions, parse_failures
from d2vlm_pipeline.evaluation.pairs import plain_caption
from evaluation.scoring_records import pairs, places, predict, sample


def test_every_sample_has_its_pair_in_the_order_of_ids() -> None:
    b, a = sample("tvg", key="b"), sample("tvg", key="a")
    matched = match_predictions([b, a], [places(b, [(1, 2)])])
    assert [(pair.sample.id, pair.prediction is None) for pair in matched] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_id": "other"}, "not among the samples"),
        ({"sample_id": None}, "no sample_id"),
        ({"video": "other.mp4"}, "names other.mp4"),
        ({"task": "tal"}, r"\(tal\)"),
    ],
)
def test_a_prediction_for_something_else_is_refused(change, words) -> None:
    s = sample("tvg")
    stranger = places(s, [(1, 2)]).model_copy(update=change)
    with pytest.raises(UserError, match=words):
        match_predictions([s], [stranger])


def test_two_of_a_kind_are_refused() -> None:
    s = sample("tvg")
    with pytest.raises(UserError, match="two predictions for sample s0"):
        match_predictions([s], [places(s, [(1, 2)])] * 2)
    with pytest.raises(UserError, match="two samples with id s0"):
        match_predictions([s, s], [])


def test_a_prediction_may_leave_its_task_open() -> None:
    s = sample("tvg")
    (pair,) = match_predictions([s], [places(s, [(1, 2)]).model_copy(update={"task": None})])
    assert pair.parsed


def test_failures_are_counted_by_reason() -> None:
    rows = [(sample("tvg", key=key), None) for key in "abcd"]
    rows = [(s, predict(s, "nonsense") if s.id in "bc" else None) for s, _ in rows[:3]] + [
        (rows[3][0], places(rows[3][0], [(1, 2)]))
    ]
    assert parse_failures(pairs(*rows)) == {"no </evi> between evidence and answer": 2, "no prediction": 1}


def test_captions_lose_their_joints_only() -> None:
    assert plain_caption(", a red-hot ball, small. ") == "a red-hot ball, small"
