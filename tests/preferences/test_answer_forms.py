"""Answers are taken apart and put together without loss, whatever their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.preferences.answers import match_case, read_captions, read_list
from d2vlm_pipeline.timeline import EVI, split_answer

WORDS = st.text(alphabet="abc é'", min_size=1, max_size=12).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("answer", "one", "four"),
    [
        ("In <evi>, and <evi>.", "In <evi>.", "In <evi>, <evi>, <evi>, and <evi>."),
        ("<evi> und <evi>", "<evi>", "<evi>, <evi>, <evi> und <evi>"),
        ("At <evi>; <evi>; <evi>!", "At <evi>!", "At <evi>; <evi>; <evi>; <evi>!"),
        ("Here: <evi>", "Here: <evi>", "Here: <evi>, <evi>, <evi>, and <evi>"),
    ],
)
def test_a_list_is_rebuilt_for_any_number_in_its_own_style(answer, one, four):
    form = read_list(split_answer(answer))
    assert form is not None
    assert form.build(1) == split_answer(one)
    assert form.build(4) == split_answer(four)


@pytest.mark.parametrize("answer", ["Nothing.", "<evi>, <evi> and <evi>; then <evi>."])
def test_a_list_without_intervals_or_with_changing_separators_is_not_read(answer):
    assert read_list(split_answer(answer)) is None


@given(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from([", ", ": ", " - ", " "]))
def test_captions_are_read_and_rebuilt(said, lead):
    segments = split_answer(" ".join(f"{EVI}{lead}{caption}." for caption in said))
    answer = read_captions(segments)
    assert answer is not None
    assert answer.captions == tuple(said)
    assert answer.form.build(answer.captions) == segments


def test_a_lone_caption_learns_how_to_separate_a_second():
    answer = read_captions(split_answer("<evi>, one."))
    assert answer is not None
    assert answer.form.build(["one", "two"]) == split_answer("<evi>, one. <evi>, two.")


@pytest.mark.parametrize("answer", ["<evi> <evi>", "words only", "<evi>, one. <evi>: two."])
def test_missing_captions_and_mixed_styles_are_not_read(answer):
    assert read_captions(split_answer(answer)) is None


@pytest.mark.parametrize(
    ("words", "model", "expected"),
    [
        ("a dog", "The cat", "A dog"),
        ("A dog", "the cat", "a dog"),
        ("TV is on", "the cat", "TV is on"),
        ("I run", "the cat", "I run"),
        ("", "x", ""),
    ],
)
def test_borrowed_words_take_the_case_of_what_they_replace(words, model, expected):
    assert match_case(words, model) == expected
