import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import score_loops_etbench_reading as plain
from d2vlm_pipeline.evaluation.reading import (
    DESCRIBED,
    OPTION_LETTERS,
    ORIGINAL_INTERVALS,
    d2vlm_described,
    d2vlm_intervals,
    first_signed_number,
    original_described,
    original_intervals,
)
from d2vlm_pipeline.evaluation.reading.numbers import COLON, HYPHEN, TO, joined_numbers, plain_digits

# Few characters, so that random text is full of numbers that nearly are intervals.
_crowded = st.text(st.sampled_from("0123.-: \n٣to"), max_size=24)
_worded = st.lists(
    st.sampled_from(
        [
            *("0", "1", "12", "3.5", "4.", "1..5", "00:12", "1:02:03", "999999999999", "٣", "-", "to", "."),
            *(",", ":", "!", "?", "*", "\n", "</evi>", "seconds", "starts", "ends", "happen"),
            " to ",
            " - ",
            "description: ",
            "start time: ",
            "end time: ",
            "start time 1, end time 2",
            "a man cuts the onions",
        ]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("joint", "pattern"),
    [
        (HYPHEN, r"(\d+\.*\d*)\s*-\s*(\d+\.*\d*)"),
        (TO, r"(\d+\.*\d*)\s* to \s*(\d+\.*\d*)"),
        (COLON, r"(\d+\.*\d*):(\d+\.*\d*)"),
    ],
)
@given(text=_crowded | _worded)
def test_linear_search_finds_what_the_pattern_finds(joint: re.Pattern[str], pattern: str, text: str) -> None:
    text = plain_digits(text)
    found = [(m.start, m.end, m.left, m.right) for m in joined_numbers(text, joint, joint is not COLON)]
    assert found == [(m.start(), m.end(), m[1], m[2]) for m in re.finditer(pattern, text)]


@given(text=_crowded | _worded)
def test_intervals_are_those_of_the_script(text: str) -> None:
    try:
        expected = plain.read_intervals(text) or []
    except ValueError:  # `1..5`: the script stops
        expected = []
    assert [list(span) for span in original_intervals(text).answer] == expected


@given(text=_crowded | _worded)
def test_captions_are_those_of_the_script(text: str) -> None:
    assume(not re.search(r"\d{13}", text))  # larger numbers are cut off
    found = original_described(text)
    expected = plain.read_described(text)
    assert ([list(span) for span in found.spans], list(found.captions)) == (expected or ([], []))


def test_halves_are_read_as_the_authors_script_does() -> None:
    said = d2vlm_intervals("5 - 3 </EVI> x </evi> 7. - 9.")
    assert said.evidence == ((5.0, 3.0),) and said.answer == ((7.0, 9.0),)
    assert d2vlm_intervals("5 - 3") == d2vlm_intervals("")
    found = d2vlm_described("5 - 3</evi>1 - 2 seconds, cut... it. </evi>3 - 4 seconds, stir it.")
    assert (found.evidence, found.spans, found.captions) == (((5.0, 3.0),), ((1.0, 2.0),), ("cut  it.",))


def test_hours_minutes_seconds_are_read_as_hours() -> None:
    assert original_intervals("start 01:02:03\nend 02:00:00").answer == ((1.0, 2.0),)


def test_moment_is_the_first_number_with_its_sign() -> None:
    assert first_signed_number("at -3.5 or 7") == -3.5
    assert first_signed_number("never") is None


def test_rules_are_named_once() -> None:
    for table in (ORIGINAL_INTERVALS, DESCRIBED, OPTION_LETTERS):
        assert len({rule.name for rule in table}) == len(table)


def test_long_texts_are_cut_where_intervals_were_found() -> None:
    text = "1 - 2 seconds, cut the onions. " * 3000
    assert len(original_described(text).captions) == 3000
