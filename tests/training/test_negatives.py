"""Questions borrowed from other clips ask for what the captions of a clip rule out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.timeline import Event, Sample
from d2vlm_pipeline.training.negatives import borrow_absent

COLOURS, THINGS = ("red", "blue", "green"), ("ball", "star", "crate")


def tvg(video: str, caption: str, name: str = "0", question: str = "") -> Sample:
    return Sample(
        id=f"{video}/tvg/{name}",
        video=video,
        task="tvg",
        source="test",
        split="train",
        question=question or f"When does this happen: {caption}?",
        events=(Event(start_s=1.0, end_s=3.0, caption=caption),),
        answer="The event happens in <evi>.",
    )


def absent(video: str) -> Sample:
    return Sample(
        id=f"{video}/tvg/absent",
        video=video,
        task="tvg",
        source="test",
        split="train",
        question="When does a fish leave?",
        answer="No such event happens.",
    )


def test_a_borrowed_question_is_denied_in_the_words_of_its_task() -> None:
    given = [tvg("a.mp4", "a red ball enters"), tvg("b.mp4", "a blue star grows"), absent("c.mp4")]
    borrowed = {sample.video: sample for sample in borrow_absent(given, 1, seed=0)}
    assert set(borrowed) == {"a.mp4", "b.mp4"}
    lent = borrowed["a.mp4"]
    assert lent.question == "When does this happen: a blue star grows?"
    assert (lent.events, lent.answer, lent.id) == ((), "No such event happens.", "a.mp4/borrowed/0")
    assert Sample.model_validate(lent.model_dump()) == lent


def test_what_a_caption_of_the_clip_holds_is_not_borrowed() -> None:
    asks_for_red = tvg("b.mp4", "a red star grows", question="When does something red appear?")
    given = [tvg("a.mp4", "a red ball enters"), asks_for_red, absent("c.mp4")]
    assert [sample.video for sample in borrow_absent(given, 3, seed=0)] == ["b.mp4"]


def test_function_words_do_not_make_a_caption_hold_a_question() -> None:
    given = [
        tvg("a.mp4", "a ball goes to the left"),
        tvg("b.mp4", "a ball goes to the right", question="Who goes to the right?"),
        absent("c.mp4"),
    ]
    assert {sample.video for sample in borrow_absent(given, 1, seed=0)} == {"a.mp4", "b.mp4"}


@pytest.mark.parametrize(
    "changes",
    [
        {"question": "What is like <evi>, a blue star grows?", "query_intervals": ((0.0, 1.0),)},
        {"question": "When?"},
        {"task": "epm"},
    ],
    ids=["asks about an interval", "names nothing", "no denial of its task"],
)
def test_some_questions_cannot_be_lent(changes: dict[str, object]) -> None:
    donor = tvg("b.mp4", "a blue star grows").model_copy(update=changes)
    given = [tvg("a.mp4", "a red ball enters"), donor, absent("c.mp4")]
    assert [sample.video for sample in borrow_absent(given, 1, seed=0)] == ["b.mp4"]


def test_a_clip_without_captions_gets_nothing() -> None:
    given = [tvg("a.mp4", "a red ball enters"), tvg("b.mp4", ""), absent("c.mp4")]
    assert borrow_absent(given, 1, seed=0) == []


worlds = st.dictionaries(
    st.sampled_from([f"{name}.mp4" for name in "abcdef"]),
    st.lists(st.tuples(st.sampled_from(COLOURS), st.sampled_from(THINGS)), min_size=1, max_size=3),
    min_size=1,
)


@given(worlds, st.integers(0, 3), st.integers(0, 5), st.randoms())
def test_nothing_borrowed_happens_and_the_order_of_samples_does_not_matter(
    world: dict[str, list[tuple[str, str]]], per_clip: int, seed: int, shuffler: random.Random
) -> None:
    samples = [
        tvg(video, f"a {colour} {thing} enters", str(at))
        for video, shown in world.items()
        for at, (colour, thing) in enumerate(shown)
    ]
    samples.append(absent("z.mp4"))
    borrowed = borrow_absent(samples, per_clip, seed)
    for sample in borrowed:
        assert all(
            f"a {colour} {thing} enters" not in sample.question for colour, thing in world[sample.video]
        )
    for video in world:
        names = [sample.id for sample in borrowed if sample.video == video]
        assert len(names) == len(set(names)) <= per_clip
    shuffler.shuffle(samples)
    assert borrow_absent(samples, per_clip, seed) == borrowed
