"""Options as the scripts of MVBench and Video-MME read them: to the letter, and never with an error."""

from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation.reading.multiple_choice import first_capital, first_words_agree

pieces = st.lists(st.sampled_from([*"ABCDEb().: \n", "</evi>", " is", "can"]), max_size=12).map("".join)
texts = pieces | st.text(max_size=30)


@given(texts)
def test_without_a_prefix_it_is_the_first_capital_before_a_full_stop(text: str) -> None:
    sentence = text.replace("</evi>", "").split(".")[0]
    assert first_capital(text) == next((letter for letter in sentence if letter in "ABCD"), None)


@given(texts, st.sampled_from(["(A) a box", "(C) a can"]))
def test_first_words_agree_without_ever_raising(text: str, option: str) -> None:
    assert first_words_agree(text, option) in (True, False)


def test_a_missing_comma_leaves_two_prefixes_where_they_are() -> None:
    assert first_capital("The best option isThe correct option is") is None
    assert first_capital("The correct option is B") == "B"


def test_a_prefix_is_removed_before_capitals_are_looked_for() -> None:
    assert first_capital("Best answer: D") == "D"
    assert first_capital("Bad answer: D") == "B"
