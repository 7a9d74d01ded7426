"""Rendering and parsing are inverse; nothing but the two tokens is structure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.timeline import (
    EVI,
    EVI_END,
    GroundedResponse,
    Interval,
    ResponseError,
    parse_response,
    split_answer,
    split_response,
)

# Texts that come as near to the tokens as they may: pieces of them, punctuation, braces, digits, blanks.
PIECES = st.sampled_from(
    [
        "<",
        ">",
        "/",
        "evi",
        "</",
        "<evi",
        "evi>",
        "<e",
        "vi>",
        "</evi",
        " ",
        "\n",
        "{0}",
        "[1]",
        "12.5 - 20",
        ".",
    ]
)
TEXTS = (st.lists(PIECES, min_size=1).map("".join) | st.text(min_size=1)).filter(
    lambda text: EVI not in text and EVI_END not in text
)
INTERVALS = st.tuples(st.floats(0, 1e4), st.floats(0.01, 1e3)).map(
    lambda pair: Interval(start_s=pair[0], end_s=pair[0] + pair[1])
)


@st.composite
def responses(draw: st.DrawFn) -> GroundedResponse:
    """Any response: texts before, between and after the references, or an answer without references."""
    evidence = draw(st.lists(INTERVALS, max_size=5))
    optional_text = st.none() | TEXTS
    segments: list[str | int | None] = [draw(optional_text)]
    if draw(st.booleans()):
        for k in range(len(evidence)):
            segments += [k, draw(optional_text)]
    return GroundedResponse(evidence=tuple(evidence), segments=tuple(s for s in segments if s is not None))


@given(responses())
def test_parse_inverts_render(response: GroundedResponse) -> None:
    assert parse_response(response.render(), response.evidence) == response


@given(responses())
def test_json_round_trip(response: GroundedResponse) -> None:
    assert GroundedResponse.model_validate_json(response.model_dump_json()) == response


@given(st.lists(st.sampled_from([EVI, EVI_END]) | PIECES).map("".join))
def test_render_inverts_parse_on_every_text_that_parses(text: str) -> None:
    try:
        halves = split_response(text)
    except ResponseError:
        return
    rendered = "".join(EVI if isinstance(segment, int) else segment for segment in halves.segments)
    assert EVI * halves.evidence_count + EVI_END + rendered == text


def two() -> tuple[Interval, Interval]:
    return Interval(start_s=1, end_s=2), Interval(start_s=4, end_s=8)


def test_rendered_form() -> None:
    response = GroundedResponse(evidence=two(), segments=("From ", 0, " and ", 1, "."))
    assert response.render() == "<evi><evi></evi>From <evi> and <evi>."
    assert response.evidence_half == "<evi><evi></evi>"
    assert response.answer_half == "From <evi> and <evi>."


def test_without_evidence_only_the_end_token_comes_first() -> None:
    assert GroundedResponse(segments=("(B) blue.",)).render() == "</evi>(B) blue."
    assert parse_response("</evi>(B) blue.", ()) == GroundedResponse(segments=("(B) blue.",))


def test_evidence_half_before_an_answer_without_references() -> None:
    response = GroundedResponse(evidence=two(), segments=("It happens twice.",))
    assert response.render() == "<evi><evi></evi>It happens twice."
    assert parse_response(response.render(), two()) == response


def test_evidence_alone() -> None:
    response = GroundedResponse(evidence=two())
    assert parse_response("<evi><evi></evi>", two()) == response


@given(st.lists(TEXTS | st.just(""), max_size=6), st.lists(TEXTS | st.just(""), max_size=6))
def test_adjacent_texts_merge_and_empty_ones_go(before: list[str], after: list[str]) -> None:
    evidence = two()[:1]
    head, tail = "".join(before), "".join(after)
    if EVI in head + " " + tail or EVI_END in head + " " + tail:
        with pytest.raises(ValidationError, match="must not contain"):
            GroundedResponse(evidence=evidence, segments=(*before, 0, *after))
        return
    response = GroundedResponse(evidence=evidence, segments=(*before, 0, *after))
    assert response.segments == tuple(segment for segment in (head, 0, tail) if segment != "")


@pytest.mark.parametrize(
    "segments", [("a <evi> b",), ("</evi>",), ("<e", "vi>"), ("</evi", "", ">")], ids=str
)
def test_tokens_in_text_are_refused_even_when_joined_from_pieces(segments: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="must not contain"):
        GroundedResponse(segments=segments)


@pytest.mark.parametrize(
    "segments",
    [(0,), (1, 0), (0, 0), (0, 1, 2), (1,), (0, "x", 2), (-1, 0)],
    ids=["too few", "out of order", "twice", "too many", "not from 0", "gap", "negative"],
)
def test_references_are_all_in_order_or_none(segments: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError, match="references must be 0 to 1 in order"):
        GroundedResponse(evidence=two(), segments=segments)


@pytest.mark.parametrize("segment", [True, 0.0, None, b"x"])
def test_segments_are_texts_or_whole_numbers(segment: object) -> None:
    with pytest.raises(ValidationError):
        GroundedResponse(evidence=two()[:1], segments=(segment,))  # type: ignore[arg-type]


def test_digits_stay_text() -> None:
    assert GroundedResponse(segments=("0",)).segments == ("0",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The event happens in <evi>.", "does not end"),
        ("", "does not end"),
        ("<evi><evi></evi>a <evi></evi>", "more than one"),
        ("<evi> <evi></evi>x", "text in the evidence half"),
        ("so <evi></evi>x", "text in the evidence half"),
        ("<evi></evi>x", "1 <evi> in the evidence half for 2 intervals"),
        ("<evi><evi><evi></evi>x", "3 <evi> in the evidence half"),
        ("<evi><evi></evi>only <evi>", "1 <evi> in the answer half for 2"),
        ("<evi><evi></evi><evi><evi><evi>", "3 <evi> in the answer half"),
    ],
)
def test_malformed_responses_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ResponseError, match=reason):
        parse_response(text, two())


def test_halves_may_disagree_where_only_the_form_is_asked() -> None:
    halves = split_response("<evi></evi>At <evi> or <evi>.")
    assert halves.evidence_count == 1
    assert halves.segments == ("At ", 0, " or ", 1, ".")
    assert halves.reference_count == 2


def test_split_answer_keeps_every_blank() -> None:
    assert split_answer(" a  <evi><evi>\n") == (" a  ", 0, 1, "\n")
    assert split_answer("") == ()
