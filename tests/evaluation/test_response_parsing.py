import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation import ParseProblem, option_index, parse_generation
from d2vlm_pipeline.evaluation.parsing import reads_as_denial
from d2vlm_pipeline.timeline import TASKS, EvidenceSegment, TextSegment
from evaluation.scoring_records import intervals


def test_grounded_answer_is_taken_apart() -> None:
    parsed = parse_generation(
        "<evi><evi></evi>The action happens in <evi>, and <evi>.",
        intervals([(1, 2), (3, 4), (12, 20.54), (5, 6)]),
        task="tal",
    )
    assert parsed.parsed and parsed.parse_error is None
    assert [i.start_s for i in parsed.evidence] == [1, 3]
    references = [s for s in parsed.segments if isinstance(s, EvidenceSegment)]
    assert [(s.evidence, s.interval.start_s) for s in references] == [(0, 12), (1, 5)]
    assert parsed.answer == "The action happens in 12.0 - 20.5 s, and 5.0 - 6.0 s."


def test_reference_without_partner_has_no_evidence() -> None:
    parsed = parse_generation("<evi></evi>In <evi> and <evi>.", intervals([(1, 2), (1, 2), (8, 9)]), "tal")
    assert [s.evidence for s in parsed.segments if isinstance(s, EvidenceSegment)] == [0, None]
    assert parsed.parsed


def test_interval_of_the_evidence_half_alone_is_enough_to_be_parsed() -> None:
    parsed = parse_generation("<evi></evi>It happens then.", intervals([(1, 2)]), "tvg")
    assert parsed.parsed and len(parsed.evidence) == 1


@pytest.mark.parametrize(
    ("raw", "count", "task", "options", "problem"),
    [
        ("The event happens.", 0, "tvg", None, ParseProblem.NO_END),
        ("<evi>The event in <evi>.", 2, "tvg", None, ParseProblem.NO_END),
        ("<evi></evi>In <evi></evi>.", 2, "tvg", None, ParseProblem.REPEATED_END),
        ("well <evi></evi>In <evi>.", 2, "tvg", None, ParseProblem.EVIDENCE_TEXT),
        ("<evi></evi>In <evi>.", 1, "tvg", None, ParseProblem.INTERVAL_COUNT),
        ("<evi></evi>In <evi>.", 3, "tvg", None, ParseProblem.INTERVAL_COUNT),
        ("</evi>  ", 0, "rvc", None, ParseProblem.EMPTY_ANSWER),
        ("", 0, "rvc", None, ParseProblem.NO_END),
        ("</evi>The event happens.", 0, "tvg", None, ParseProblem.NO_INTERVAL),
        ("</evi>a red ball enters.", 0, "dvc", None, ParseProblem.NO_INTERVAL),
        ("</evi>(B) no.", 0, "gvq", ("yes", "no"), ParseProblem.NO_INTERVAL),
        ("</evi>blue", 0, "mcq", ("red", "blue"), ParseProblem.NO_OPTION),
        ("</evi>(D) blue.", 0, "mcq", ("red", "blue"), ParseProblem.NO_OPTION),
        ("</evi>No such event happens in the video.", 0, "tvg", None, None),
        ("</evi>It doesn't happen.", 0, "tem", None, None),
        ("</evi>(B) blue.", 0, "mcq", ("red", "blue"), None),
        ("</evi>A red ball enters.", 0, "rvc", None, None),
        ("<evi></evi>(A) yes. It is in <evi>.", 2, "gvq", ("yes", "no"), None),
        ("<evi></evi>It is in <evi>.", 2, None, None, None),
        (" <evi> \n</evi>It is in <evi>.", 2, "tvg", None, None),
    ],
)
def test_what_counts_as_parsed(raw, count, task, options, problem) -> None:
    parsed = parse_generation(raw, intervals([(1, 2)] * count), task, options)
    assert parsed.parse_error == (None if problem is None else str(problem))
    assert parsed.parsed == (problem is None)


def test_without_end_token_everything_is_shown_as_answer() -> None:
    parsed = parse_generation("It happens in <evi>.", intervals([(1, 2)]))
    assert parsed.answer == "It happens in 1.0 - 2.0 s." and parsed.evidence == ()


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("(B) blue.", 1),
        ("The answer is (c).", 2),
        ("B", 1),
        ("D. white", 3),
        ("a) red", 0),
        ("(E) none", None),
        ("A red ball", None),
        ("blue", None),
        ("", None),
        ("Because (B), not (A)", 1),
    ],
)
def test_option_letters(text: str, index: int | None) -> None:
    assert option_index(text, 4) == index


def test_denials_are_told_from_statements() -> None:
    assert reads_as_denial("No such event happens in the video.")
    assert reads_as_denial("The ball doesn't bounce.")
    assert not reads_as_denial("The event happens now, in the north.")


_PIECES = st.lists(
    st.one_of(st.sampled_from(["<evi>", "</evi>", "<ev", "i>", "</", "evi>", "(B)", "not", " "]), st.text())
)


@settings(deadline=None)
@given(
    raw=_PIECES.map("".join),
    count=st.integers(0, 6),
    task=st.sampled_from([None, *TASKS]),
    options=st.sampled_from([None, ("red", "blue")]),
)
def test_any_text_is_parsed_without_raising(raw, count, task, options) -> None:
    given_intervals = intervals([(k, k + 1.5) for k in range(count)])
    parsed = parse_generation(raw, given_intervals, task, options)
    assert parsed.parsed == (parsed.parse_error is None)
    used = [*parsed.evidence, *(s.interval for s in parsed.segments if isinstance(s, EvidenceSegment))]
    assert used == given_intervals[: len(used)]
    assert not parsed.parsed or len(used) == count == raw.count("<evi>")
    assert parsed == parse_generation(raw, given_intervals, task, options)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abc ,.", min_size=1), min_size=1, max_size=4))
def test_words_of_a_well_formed_answer_survive(texts: list[str]) -> None:
    raw = "<evi>" * len(texts) + "</evi>" + "".join(f"<evi>{text}" for text in texts)
    parsed = parse_generation(raw, intervals([(0, 1)] * 2 * len(texts)), "dvc")
    assert [s.text for s in parsed.segments if isinstance(s, TextSegment)] == texts
    assert [s.evidence for s in parsed.segments if isinstance(s, EvidenceSegment)] == list(range(len(texts)))
