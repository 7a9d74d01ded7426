import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import Pair
from d2vlm_pipeline.evaluation.page.gallery import choose, gallery_of, judge, levels_of, with_times
from d2vlm_pipeline.evaluation.page.kinds import Kind
from d2vlm_pipeline.timeline import Interval
from evaluation.page.pages import answers
from evaluation.scoring_records import context, demo_world, places, predict, sample, truth


def test_a_score_is_that_of_the_answer_alone() -> None:
    near, off = sample("tvg", key="near"), sample("tvg", key="off")
    absent = sample("tvg", [], key="absent")
    pairs = [
        Pair(near, places(near, [(2, 4)])),
        Pair(off, places(off, [(8, 9)])),
        Pair(absent, truth(absent)),
    ]
    found = {one.pair.sample.id: (one.measure, round(one.score)) for one in judge(pairs, context())}
    assert found == {"near": ("f1", 75), "off": ("f1", 0), "absent": ("absent_recall", 100)}


def test_worst_first_and_by_distance_among_equals() -> None:
    asked = [sample("tvg", key=str(k)) for k in range(3)]
    spans = [(2, 6), (8, 9), (6, 30)]
    pairs = [Pair(s, places(s, [span])) for s, span in zip(asked, spans, strict=True)]
    pairs.append(Pair(sample("tvg", key="touching"), places(sample("tvg", key="touching"), [(5.9, 30)])))
    assert [one.pair.sample.id for one in judge(pairs, context())] == ["1", "2", "touching", "0"]


def test_every_task_and_kind_finds_something_in_a_small_gallery() -> None:
    samples, _ = demo_world(12)
    pairs = [Pair(s, p) for s, p in zip(samples, answers(samples, "fpo", 0), strict=True)]
    judged = judge(pairs, context())
    chosen = choose(judged, 70)
    assert len(chosen) == 70
    assert {(o.pair.sample.task, k) for o in chosen for k in o.kinds} == {
        (o.pair.sample.task, k) for o in judged for k in o.kinds
    }
    assert [one.badness for one in chosen] == sorted(one.badness for one in chosen)
    assert choose(judge(pairs[::-1], context()), 70) == chosen
    assert len(choose(judged, 10_000)) == len(pairs)


def test_an_item_holds_question_truth_and_both_halves() -> None:
    asked = sample("tem", [(4.0, 6.0)]).model_copy(
        update={"question": "What is like <evi>?", "query_intervals": ((1.0, 2.0),)}
    )
    judged = judge([Pair(asked, places(asked, answer=[(5, 7)], evidence=[(4, 12)]))], context())
    (item,) = gallery_of(judged, judged, {"s0.mp4": 10.0}, {}).items
    assert (item.group, item.question) == ("tem", "What is like 1.0 - 2.0 s?")
    assert item.truth == "The event happens in 4.0 - 6.0 s."
    assert item.answer == "It happens in 5.0 - 7.0 s."
    spans = {lane.name: [(bar.start_s, bar.end_s) for bar in lane.bars] for lane in item.lanes}
    assert spans == {"question": [(1, 2)], "truth": [(4, 6)], "evidence": [(4, 10)], "answer": [(5, 7)]}
    with pytest.raises(UserError, match=r"s0\.mp4"):
        gallery_of(judged, judged, {}, {})


def test_lanes_without_meaning_are_left_out() -> None:
    chosen = sample("mcq", [], right=1)
    judged = judge([Pair(chosen, predict(chosen, "</evi>(C) green."))], context())
    gallery = gallery_of(judged, judged, {"s0.mp4": 10.0}, {})
    assert gallery.items[0].lanes == () and gallery.items[0].kinds == ("wrong option",)
    assert gallery.items[0].notes == (("options", "(A) red  (B) blue  (C) green  (D) white"),)
    assert (gallery.groups, gallery.kinds) == ({"mcq": 1}, {Kind.WRONG_OPTION.value: 1})


def test_overlapping_intervals_get_levels_of_their_own() -> None:
    rows = [(4.0, 6.0), (0.0, 5.0), (5.0, 7.0), (1.0, 2.0)]
    levels, depth = levels_of([Interval(start_s=start, end_s=end) for start, end in rows])
    assert (levels, depth) == ([1, 0, 0, 1], 2)
    assert levels_of([]) == ([], 1)


def test_answers_need_not_point_at_their_events() -> None:
    assert with_times("(A) red.", [Interval(start_s=1, end_s=2)]) == "(A) red."
