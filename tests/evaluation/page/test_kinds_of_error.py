import pytest

from d2vlm_pipeline.evaluation import Pair
from d2vlm_pipeline.evaluation.page.kinds import Kind, kinds_of
from d2vlm_pipeline.timeline import TASKS
from evaluation.scoring_records import Span, captions, demo_world, places, predict, sample, truth


def kinds(task: str, events: list, said: list[Span], **more: list[Span]) -> tuple[Kind, ...]:
    asked = sample(task, events)
    return kinds_of(Pair(asked, places(asked, said, **more)))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ([(2, 6)], Kind.RIGHT),
        ([(3, 7)], Kind.RIGHT),
        ([(8, 9)], Kind.WRONG_PLACE),
        ([(5, 9)], Kind.WRONG_PLACE),
        ([(0, 20)], Kind.TOO_LONG),
        ([(4, 5)], Kind.TOO_SHORT),
        ([(8, 9), (2, 6)], Kind.WRONG_PLACE),
    ],
)
def test_an_interval_is_too_long_too_short_or_elsewhere(said: list[Span], kind: Kind) -> None:
    assert kinds("tvg", [(2, 6)], said) == (kind,)


def test_evidence_that_is_off_is_told_only_where_the_answer_is_in_place() -> None:
    assert kinds("tvg", [(2, 6)], [(2, 6)], evidence=[(8, 9)]) == (Kind.WRONG_EVIDENCE,)
    assert kinds("tvg", [(2, 6)], [(7, 9)], evidence=[(8, 9)]) == (Kind.WRONG_PLACE,)


def test_what_does_not_happen_and_what_is_denied() -> None:
    absent, present = sample("tvg", []), sample("tvg", [(2, 6)])
    assert kinds("tvg", [], [(2, 6)]) == (Kind.FALSE_ALARM,)
    assert kinds_of(Pair(absent, truth(absent))) == (Kind.RIGHT,)
    denial = predict(present, "</evi>No such event happens in the video.")
    assert kinds_of(Pair(present, denial)) == (Kind.DENIED,)


def test_an_answer_without_interval_that_denies_nothing_misses() -> None:
    asked = sample("tvg", [(2, 6)])
    said = predict(asked, "<evi></evi>It happens there.", [(2, 6)])
    assert kinds_of(Pair(asked, said)) == (Kind.MISSED,)


def test_of_several_events_each_is_judged() -> None:
    events = [(0, 4), (10, 14), (20, 24)]
    assert kinds("tal", events, [(0, 4), (10, 14), (20, 24)]) == (Kind.RIGHT,)
    assert kinds("tal", events, [(0, 4), (20, 24)]) == (Kind.MISSED,)
    assert kinds("tal", events, [(0, 4), (10, 14), (20, 24), (30, 31)]) == (Kind.FALSE_ALARM,)
    assert kinds("tal", events, [(0, 4), (10, 11), (16, 26)]) == (Kind.TOO_LONG, Kind.TOO_SHORT)


def test_words_count_where_words_are_asked_for() -> None:
    asked = sample("dvc", [(0, 4, "a red ball enters"), (6, 9, "a star blinks")])
    right = captions(asked, [(0, 4, "A red ball enters"), (6, 9, "a star blinks")])
    other = captions(asked, [(0, 4, "a blue ball enters"), (6, 9, "a star blinks")])
    assert kinds_of(Pair(asked, right)) == (Kind.RIGHT,)
    assert kinds_of(Pair(asked, other)) == (Kind.OTHER_WORDS,)
    region = sample("rvc", [(0, 4, "a red ball enters")])
    assert kinds_of(Pair(region, predict(region, "</evi>A red star enters."))) == (Kind.OTHER_WORDS,)


def test_an_option_and_its_place_can_both_be_wrong() -> None:
    asked = sample("gvq", [(2, 6)], right=1)
    said = predict(asked, "<evi></evi>(A) red. It happens in <evi>.", [(8, 9), (8, 9)])
    assert kinds_of(Pair(asked, said)) == (Kind.WRONG_PLACE, Kind.WRONG_OPTION)


def test_highlights_by_their_middle_and_summaries_by_their_seconds() -> None:
    assert kinds("vhd", [(2, 6)], [(0, 9)]) == (Kind.RIGHT,)
    assert kinds("vhd", [(2, 6)], [(7, 9)]) == (Kind.WRONG_PLACE,)
    assert kinds("evs", [(0, 4), (6, 10)], [(0, 10)]) == (Kind.RIGHT,)
    assert kinds("evs", [(0, 2)], [(0, 20)]) == (Kind.TOO_LONG,)


def test_nothing_readable_and_nothing_at_all() -> None:
    asked = sample("tvg")
    assert kinds_of(Pair(asked, predict(asked, "whatever"))) == (Kind.UNPARSED,)
    assert kinds_of(Pair(asked, None)) == (Kind.NO_PREDICTION,)


def test_the_true_response_is_right_in_every_task() -> None:
    samples, _ = demo_world(3)
    assert {s.task for s in samples} == set(TASKS)
    for asked in samples:
        assert kinds_of(Pair(asked, truth(asked))) == (Kind.RIGHT,), asked.task
