"""Questions: each means what its answer says and nothing else, checked against all events of its clip."""

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.timeline import TASKS, Sample, dump_jsonl
from d2vlm_pipeline.video.world import ClipPlan, plan_world, world_samples
from d2vlm_pipeline.video.world.certificate import is_test_only
from d2vlm_pipeline.video.world.wording import ABSENT_ANSWER, QUESTIONS
from video.world.asking import (
    ATTRIBUTES,
    asked_attribute,
    described,
    in_order,
    matching,
    readings,
    sentence,
    spans,
    value,
)
from video.world.scenes import small_world

Asked = tuple[ClipPlan, Sample]
LETTERS = "ABCDE"


def questions(seed: int, clips: int) -> list[Asked]:
    config = small_world(seed, train=clips)
    plans = {plan.video: plan for plan in plan_world(config)}
    return [(plans[sample.video], sample) for sample in world_samples(list(plans.values()), config)]


@cache
def many() -> list[Asked]:
    return questions(seed=11, clips=160)


def of_task(*tasks: str) -> list[Asked]:
    found = [row for row in many() if row[1].task in tasks]
    assert len(found) > 20
    return found


def true_spans(sample: Sample) -> list[tuple[float, float]]:
    return [(event.start_s, event.end_s) for event in sample.events]


def chosen(sample: Sample) -> str:
    """The right option; the answer must name it by letter and in words."""
    assert sample.options is not None and sample.answer_index is not None
    right = sample.options[sample.answer_index]
    assert sample.answer.startswith(f"({LETTERS[sample.answer_index]}) {right}.")
    return right


def event_at(plan: ClipPlan, sample: Sample):
    """The event that the question's one interval is."""
    (span,) = sample.query_intervals
    (event,) = [event for event in plan.events if (event.start_s, event.end_s) == span]
    return event


def test_every_task_is_asked() -> None:
    assert {sample.task for _, sample in many()} == set(TASKS)


def test_every_sample_survives_writing_and_has_a_name_of_its_own() -> None:
    samples = [sample for _, sample in many()]
    assert [Sample.model_validate_json(sample.model_dump_json()) for sample in samples] == samples
    assert len({sample.id for sample in samples}) == len(samples)
    for plan, sample in many():
        assert sample.split == plan.split and sample.id.startswith(plan.clip_id)
        assert all(0 <= start_s < end_s <= plan.duration_s for start_s, end_s in true_spans(sample))


@settings(max_examples=15)
@given(st.integers(min_value=0, max_value=2**32))
def test_a_question_depends_on_its_clip_alone(seed: int) -> None:
    config = small_world(seed)
    plans = plan_world(config)
    together = {sample.id: sample for sample in world_samples(plans[::-1], config)}
    alone = [sample for plan in plans for sample in world_samples([plan], config)]
    assert dump_jsonl(alone) == dump_jsonl(together[sample.id] for sample in alone)


def test_a_moment_question_fits_exactly_the_event_it_means_or_none() -> None:
    for plan, sample in of_task("tvg", "epm", "vhd"):
        found = matching(plan, described(sample))
        assert true_spans(sample) == spans(found) and len(found) <= 1
        assert (sample.answer == ABSENT_ANSWER) == (not found)


def test_a_question_for_all_moments_means_all_that_fit_in_order() -> None:
    for plan, sample in of_task("tal", "evs"):
        found = matching(plan, described(sample))
        assert true_spans(sample) == spans(found)
        assert sample.answer.count("<evi>") == len(found)
        assert (sample.answer == ABSENT_ANSWER) == (not found)


def test_something_absent_is_asked_for_and_told_apart() -> None:
    absent = [(plan, sample) for plan, sample in of_task("tvg", "tal") if not sample.events]
    assert len(absent) > 20
    assert all("It may never happen." in sample.question for _, sample in of_task("tvg", "tal", "epm"))
    for plan, sample in absent:
        assert matching(plan, described(sample)) == []


@given(st.integers(min_value=0, max_value=2**32))
def test_in_no_world_does_a_query_mean_another_event(seed: int) -> None:
    for plan, sample in questions(seed, clips=3):
        if sample.task in ("tvg", "epm", "vhd", "tal", "evs"):
            assert true_spans(sample) == spans(matching(plan, described(sample)))


def test_a_timeline_tells_every_event_in_order() -> None:
    for plan, sample in of_task("dvc", "slc", "tvc"):
        events = in_order(plan)
        assert true_spans(sample) == spans(events)
        assert sample.answer == " ".join(f"<evi>, {sentence(event)}." for event in events)
        assert [event.caption for event in sample.events] == [sentence(event) for event in events]


def test_a_similar_event_is_the_one_other_of_its_kind() -> None:
    for plan, sample in of_task("tem"):
        asked = event_at(plan, sample)
        others = [event for event in plan.events if event.triple == asked.triple and event != asked]
        assert true_spans(sample) == spans(others) and len(others) == 1


def test_a_caption_of_an_interval_says_what_happens_there() -> None:
    for plan, sample in of_task("rvc"):
        assert sample.answer == f"{sentence(event_at(plan, sample))}."


def test_a_two_hop_question_has_one_event_and_one_right_option() -> None:
    rows = [row for row in of_task("gvq", "mcq") if asked_attribute(row[1]) is not None]
    assert {asked_attribute(sample)[1] for _, sample in rows} == {0, 1, 2}
    for plan, sample in rows:
        query, place = asked_attribute(sample)
        (event,) = matching(plan, query)
        assert chosen(sample) == value(event, place)
        assert true_spans(sample) == (spans([event]) if sample.task == "gvq" else [])


def test_every_grounded_choice_is_a_two_hop_question() -> None:
    assert all(asked_attribute(sample) is not None for _, sample in of_task("gvq"))


@pytest.mark.parametrize("kind, place", [("mcq/first", 0), ("mcq/last", -1)])
def test_the_first_and_the_last_event_are_what_they_are_called(kind: str, place: int) -> None:
    rows = [(plan, sample) for plan, sample in of_task("mcq") if any(readings(sample, (kind,)))]
    assert len(rows) > 20
    for plan, sample in rows:
        starts = [event.start_s for event in in_order(plan)]
        assert starts.count(starts[place]) == 1
        assert chosen(sample) == sentence(in_order(plan)[place])


def test_what_comes_right_after_is_the_next_event() -> None:
    for plan, sample in of_task("rar"):
        events = in_order(plan)
        assert chosen(sample) == sentence(events[events.index(event_at(plan, sample)) + 1])


def test_a_choice_about_an_interval_is_about_the_event_there() -> None:
    for plan, sample in of_task("eca"):
        assert chosen(sample) == sentence(event_at(plan, sample))
    for plan, sample in of_task("rvq"):
        ((kind, _),) = readings(sample, ("rvq/colour", "rvq/class", "rvq/action"))
        assert chosen(sample) == value(event_at(plan, sample), ATTRIBUTES[kind.split("/")[1]])


def test_choices_have_four_different_options_and_none_favours_a_place() -> None:
    places: Counter[int] = Counter()
    for _, sample in of_task("gvq", "mcq", "rar", "eca", "rvq"):
        assert sample.options is not None and len(set(sample.options)) == 4
        places[sample.answer_index] += 1
    total = sum(places.values())
    # Four standard errors of a fair die with four faces.
    assert all(abs(places[place] / total - 0.25) < 4 * (0.1875 / total) ** 0.5 for place in range(4))


def test_wrong_options_come_from_the_clip_where_it_has_any() -> None:
    def shown(plan: ClipPlan, read: Callable[..., str]) -> set[str]:
        return {read(event) for event in plan.events}

    for plan, sample in of_task("rar", "eca"):
        in_clip = shown(plan, sentence)
        assert len(in_clip.intersection(sample.options)) == min(4, len(in_clip))


def test_two_wordings_of_six_are_kept_for_test_splits() -> None:
    assert all(len(set(wordings)) == 6 for wordings in QUESTIONS.values())
    assert not any(is_test_only(sample.question) for _, sample in many() if sample.split != "test-iid")
    tested = [
        sample for seed in range(40) for _, sample in questions(seed, clips=1) if sample.split == "test-iid"
    ]
    fresh = sum(is_test_only(sample.question) for sample in tested)
    assert fresh / len(tested) == pytest.approx(1 / 3, abs=0.06)
