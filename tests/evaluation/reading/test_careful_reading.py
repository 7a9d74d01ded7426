import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation import option_index
from d2vlm_pipeline.evaluation.reading import (
    bracket_or_first,
    careful_described,
    careful_intervals,
    careful_moment,
    careful_option,
    d2vlm_described,
    d2vlm_intervals,
    first_character,
    first_signed_number,
    original_described,
    original_intervals,
)

_hostile = st.text(
    st.sampled_from("019.,-–:;()[]{}<>/ \n\tabcehimnorstdv%'\"*٣²½∞İ\u2028\x00"), max_size=60
) | st.text(max_size=40)
_numbers = st.lists(
    st.sampled_from(
        [
            *("9" * 400, "1" * 18, "0." + "3" * 400, "1e999", "nan", "inf", "-", " - ", " to ", "from ", ":"),
            *(" h ", "% ", "starts ", "ends ", "</evi>", "(", ")", " seconds, cut the onions. "),
        ]
    ),
    max_size=10,
).map("".join)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("186.87 - 107.56 seconds", [(107.56, 186.87)]),
        ("240.5–252.0 seconds", [(240.5, 252.0)]),
        ("299.0s - 316.0s", [(299.0, 316.0)]),
        ("12 -- 15", [(12, 15)]),
        ("287.1. - 294.91. seconds", [(287.1, 294.91)]),
        ("between 54.5 and 59.1", [(54.5, 59.1)]),
        ("at 54.5 and 59.1", []),
        ("From about 10 to around 20 seconds.", [(10, 20)]),
        ("The event starts at 161.4 seconds and ends at 176.0 seconds.", [(161.4, 176.0)]),
        ("It starts at 1.\nIt ends at 2.", [(1, 2)]),
        ("start 00:49:41\nend 00:53:01", [(2981, 3181)]),
        ("01:05.5 - 01:10", [(65.5, 70)]),
        ("01:75 - 01:80", []),
        ("from 1 min 5 s to 2 minutes", [(65, 120)]),
        ("5 to 10 minutes", [(300, 600)]),
        ("10% - 50% of the video", [(20, 100)]),
        ("[[1, 2], [3.5, 4]]", [(1, 2), (3.5, 4)]),
        ('{"start": 10, "end": 20}', [(10, 20)]),
        ("Step 1: 10 - 20 s", [(10, 20)]),
        ("79.4 - 83.1, 84.0 - 112.0 seconds.", [(79.4, 83.1), (84, 112)]),
        ("The event happens at 19.5 seconds.", []),
        ("No event.", []),
        ("1.1.1.1 - 2.2.2.2", []),
        ("9" * 30 + " - " + "9" * 30, []),
        ("٣ - ٥", [(3, 5)]),
        ("It happens in 5, 12 people.", []),
    ],
)
def test_intervals_as_a_person_reads_them(text: str, spans: list[tuple[float, float]]) -> None:
    assert list(careful_intervals(text, duration_s=200.0).answer) == spans


def test_share_of_a_video_of_unknown_length_is_not_read() -> None:
    assert careful_intervals("10% - 50%").answer == ()


def test_halves_stand_on_either_side_of_the_token() -> None:
    said = careful_intervals("1 - 2</evi>3 - 4 </EVI> 5 - 6")
    assert said.evidence == ((1, 2),) and said.answer == ((3, 4), (5, 6))
    assert careful_intervals("1 - 2").evidence == ()


@pytest.mark.parametrize(
    ("text", "moment_s"),
    [
        ("The highlight is at 148.1 seconds.", 148.1),
        ("The 2 best: 35 s", 35.0),
        ("10 - 20", 15.0),
        ("1:05", 65.0),
        ("35", 35.0),
        ("1 - 2</evi>in the 2nd scene, 7", 7.0),
        ("never", None),
    ],
)
def test_moments_as_a_person_reads_them(text: str, moment_s: float | None) -> None:
    assert careful_moment(text) == moment_s


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        ("1.9 - 18.3 seconds, add the onions. 23.8 - 123.1 seconds, stir.", ["add the onions.", "stir."]),
        (
            "Start time: 10.0 seconds, end time: 20 seconds, description: chop.\n"
            "Start time: 25.2 seconds, end time: 30 seconds, description: boil.",
            ["chop.", "boil."],
        ),
        ("* 46.4 - 47.7: cut the tomato\n* 112.4 - 115.7: plate it", ["cut the tomato", "plate it"]),
        ("Cut onions (10 - 20 s), stir the pot (30 - 40 s).", ["Cut onions", "stir the pot"]),
        ("1. Cut: from 10s to 20s\n2. Stir it: from 30s to 40s", ["Cut", "Stir it"]),
        ("From 10 to 20 s, a man cuts. Then from 30 to 40 s, he eats.", ["a man cuts.", "he eats."]),
        ("start time 84.9, end time 219.7, pour oil", ["pour oil"]),
        ("1 - 2, 3 - 4", ["", ""]),
        ("Nothing happens in this clip.", []),
    ],
)
def test_captions_as_a_person_reads_them(text: str, captions: list[str]) -> None:
    found = careful_described(text)
    assert list(found.captions) == captions and len(found.spans) == len(captions)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("(B) a man", 1),
        ("b.", 1),
        ("Not (A): the answer is (B)", 1),
        ("Best Option: C", 2),
        ("The answer is a dog", 2),
        ("I think a man runs fast.", 1),
        ("A man sits", None),
        ("x (Z)", None),
        ("1 - 2</evi>D", 3),
        ("It is between 5 and 7.04 s", 3),
        ("", None),
    ],
)
def test_options_as_a_person_reads_them(text: str, index: int | None) -> None:
    assert careful_option(text, ["a man runs", "A man runs fast", "dog", (5.0, 7.0)]) == index


def test_letters_of_our_own_answers_are_read_by_the_same_table() -> None:
    for text in ("(B) x", "B) x", "x (C)", "E.", "B or not"):
        assert option_index(text, 4) == careful_option(text, list("wxyz"))


@pytest.mark.parametrize("read", [careful_intervals, original_intervals, d2vlm_intervals])
@given(text=_hostile | _numbers)
def test_whatever_the_text_intervals_are_finite(read: Callable, text: str) -> None:
    said = read(text)
    assert all(math.isfinite(time) for span in (*said.answer, *said.evidence) for time in span)
    assert all(start_s <= end_s for start_s, end_s in said.answer)


@pytest.mark.parametrize("read", [careful_described, original_described, d2vlm_described])
@given(text=_hostile | _numbers)
def test_whatever_the_text_captions_match_intervals(read: Callable, text: str) -> None:
    found = read(text)
    assert len(found.captions) == len(found.spans)
    assert all(math.isfinite(time) for span in (*found.spans, *found.evidence) for time in span)


@pytest.mark.parametrize("read", [careful_moment, first_signed_number])
@given(text=_hostile | _numbers)
def test_whatever_the_text_moments_are_finite(read: Callable, text: str) -> None:
    moment_s = read(text)
    assert moment_s is None or math.isfinite(moment_s)


@given(text=_hostile | _numbers)
def test_whatever_the_text_options_are_among_those_given(text: str) -> None:
    assert careful_option(text, ["a", "b c", (1.0, 2.0)]) in (None, 0, 1, 2)
    for trail in (bracket_or_first(text, 3), first_character(text, 3)):
        assert set(trail.letters) <= {-1, 0, 1, 2}
