"""Whatever stands in a record, the checker answers with faults, never with a traceback."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.preferences import OPERATORS, SAMPLED, check_pair
from d2vlm_pipeline.timeline import AXES, FactorRecord, GroundedResponse, Interval, split_answer
from preferences import samples as s
from preferences.planting import SAMPLES, sound_pairs

SOUND = sound_pairs(turns=2)
RECORDED = [factor.magnitude for pair, _ in SOUND for factor in pair.factors]
NAMES = sorted({"score"}.union(*RECORDED))
VALUES = st.one_of(
    st.integers(-3, 99),
    st.just(10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "1 0", "x", "2 1 0", "9" * 40]),
)
RECORDS = st.builds(
    FactorRecord,
    operator=st.sampled_from([*OPERATORS, SAMPLED, "none"]),
    axis=st.sampled_from(AXES),
    magnitude=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
    event_ids=st.lists(st.integers(0, 4), max_size=4).map(tuple),
)
SPANS = st.tuples(st.floats(0, 40), st.floats(0.01, 9)).map(
    lambda span: Interval(start_s=span[0], end_s=span[0] + span[1])
)


@pytest.mark.parametrize(
    ("operator", "magnitude"),
    [("split", {"pieces": 10**12, "shortest_s": 1.0}), ("repeat", {"times": 10**12})],
)
def test_a_huge_number_is_not_believed(operator, magnitude):
    """It would fill the memory if it were counted out."""
    pair, sample = next(case for case in SOUND if [each.operator for each in case[0].factors] == [operator])
    factor = pair.factors[0].model_copy(update={"magnitude": magnitude})
    assert check_pair(pair.model_copy(update={"factors": (factor,)}), sample)


@settings(max_examples=400)
@given(st.sampled_from(SOUND), st.lists(RECORDS, min_size=1, max_size=3))
def test_any_record_about_a_sound_pair(case, records):
    pair, sample = case
    hostile = pair.model_copy(update={"factors": tuple(records)})
    assert isinstance(check_pair(hostile, sample, duration_s=s.DURATION_S), list)


@settings(max_examples=400)
@given(
    st.sampled_from(SAMPLES),
    st.lists(SPANS, max_size=4),
    st.sampled_from(["{}.", "(A) {}", "It is {}", "(B) blue, {}", "No.", ""]),
    st.lists(RECORDS, min_size=1, max_size=2),
)
def test_any_answer_under_any_record(sample, spans, text, records):
    pair, _ = SOUND[0]
    answer = split_answer(text.format(" and ".join(["<evi>"] * len(spans))))
    rejected = GroundedResponse(evidence=tuple(spans), segments=answer)
    hostile = pair.model_copy(
        update={
            "sample_id": sample.id,
            "chosen": sample.response(),
            "rejected": rejected,
            "factors": tuple(records),
        }
    )
    found = check_pair(hostile, sample, duration_s=s.DURATION_S)
    assert all(isinstance(problem, str) for problem in found)
