"""Pairs depend on the sample alone, are sound, and leave a record."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.preferences import (
    OPERATORS,
    SPECS,
    DonorPool,
    OperatorWeights,
    PairStatistics,
    PreferenceConfig,
    check_pair,
    differing_axes,
    named_axes,
    synthesis,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import Event, Sample, dump_jsonl
from preferences import samples as s

DURATIONS = {"clip_1.mp4": s.DURATION_S, "clip_2.mp4": s.DURATION_S}
SAMPLES = [*s.ALL, s.other_clip()]


def pairs_of(samples=SAMPLES, **config):
    return list(synthesize_pairs(samples, DURATIONS, PreferenceConfig(**config), DonorPool.of(SAMPLES)))


def only(operator: str) -> OperatorWeights:
    return OperatorWeights(**{name: float(name == operator) for name in OPERATORS})


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_changes_its_axis_alone_on_every_task_it_is_for(operator):
    by_id = {sample.id: sample for sample in SAMPLES}
    pairs = pairs_of(weights=only(operator), pairs_per_sample=3)
    for pair in pairs:
        (factor,) = pair.factors
        sample = by_id[pair.sample_id]
        assert factor.operator == operator
        assert check_pair(pair, sample, duration_s=s.DURATION_S) == []
        assert factor.axis in SPECS[operator].axes
        assert differing_axes(pair.chosen, pair.rejected, sample) == named_axes(factor)
    assert {by_id[pair.sample_id].task for pair in pairs} == set(SPECS[operator].tasks)


def test_order_and_company_of_the_samples_do_not_matter():
    whole = dump_jsonl(sorted(pairs_of(), key=lambda pair: pair.id))
    shuffled = random.Random(1).sample(SAMPLES, len(SAMPLES))
    assert dump_jsonl(sorted(pairs_of(shuffled), key=lambda pair: pair.id)) == whole
    one_by_one = [pair for sample in SAMPLES for pair in pairs_of([sample])]
    assert dump_jsonl(sorted(one_by_one, key=lambda pair: pair.id)) == whole


def test_the_donor_pool_does_not_depend_on_the_order_of_its_samples():
    assert DonorPool.of(SAMPLES).digest == DonorPool.of(reversed(SAMPLES)).digest
    assert DonorPool.of(SAMPLES).digest != DonorPool.of(SAMPLES[:-1]).digest


def test_another_seed_gives_other_pairs():
    assert dump_jsonl(pairs_of(seed=0)) == dump_jsonl(pairs_of(seed=0))
    assert dump_jsonl(pairs_of(seed=0)) != dump_jsonl(pairs_of(seed=1))


def test_pairs_of_one_sample_differ_and_have_ids_of_their_own():
    pairs = pairs_of(pairs_per_sample=4)
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert all(a.rejected != b.rejected for a, b in pairwise(pairs) if a.sample_id == b.sample_id)
    assert sum(pair.sample_id == s.captions(3).id for pair in pairs) == 4


def test_samples_stream_where_the_donors_are_given():
    def endless():
        while True:
            yield s.TVG

    stream = synthesize_pairs(endless(), DURATIONS, PreferenceConfig(), s.donors())
    assert next(stream).sample_id == s.TVG.id


def test_without_donors_the_samples_are_the_pool():
    stream = synthesize_pairs(iter(SAMPLES), DURATIONS, PreferenceConfig())
    assert dump_jsonl(stream) == dump_jsonl(pairs_of())


def test_heavier_operators_are_drawn_more_often():
    tals = [s.listing(3).model_copy(update={"id": f"tal/{k}"}) for k in range(200)]
    weights = OperatorWeights(**dict.fromkeys(OPERATORS, 0.0) | {"shift": 8, "add": 1, "delete": 1})
    drawn = [pair.factors[0].operator for pair in pairs_of(tals, weights=weights, pairs_per_sample=1)]
    assert 130 < drawn.count("shift") < 190  # expected 160
    assert drawn.count("add") > 0 and set(drawn) == {"shift", "add", "delete"}


def test_all_weights_zero_is_refused():
    with pytest.raises(ValidationError, match="at least one"):
        OperatorWeights(**dict.fromkeys(OPERATORS, 0.0))


def test_a_video_without_duration_is_named():
    with pytest.raises(UserError, match=r"clip_1/tvg/1: no duration for video clip_1\.mp4"):
        list(synthesize_pairs([s.TVG], {}, PreferenceConfig(), s.donors()))


def test_statistics_count_pairs_magnitudes_and_reasons():
    statistics = PairStatistics()
    config = PreferenceConfig(pairs_per_sample=6)
    samples = [s.TVG, s.ABSENT, s.listing(1), s.captions(2)]
    pairs = list(synthesize_pairs(samples, DURATIONS, config, s.donors(), statistics))
    record = statistics.record()
    assert record["samples"] == 4
    assert record["samples_without_pairs"] == {"tvg": 1}
    assert record["pairs"] == len(pairs)
    assert record["operators"]["delete"]["skipped"] == {"fewer than two events": 1}
    assert record["operators"]["shift"]["skipped"] == {"no events": 1}
    shifts = [pair.factors[0] for pair in pairs if pair.factors[0].operator == "shift"]
    summary = record["operators"]["shift"]["magnitude"]["mean_shift_s"]
    values = [factor.magnitude["mean_shift_s"] for factor in shifts]
    assert summary["min"] == min(values) and summary["max"] == max(values)
    assert summary["mean"] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert record["operators"]["shift"]["tasks"]["dvc"] >= 1
    assert record["checker"] == {"held_back": 0, "examples": {}}


def test_statistics_of_parts_add_up_to_those_of_the_whole():
    def statistics_of(samples):
        statistics = PairStatistics()
        list(synthesize_pairs(samples, DURATIONS, PreferenceConfig(), s.donors(), statistics))
        return statistics

    merged = statistics_of(SAMPLES[10:])
    merged.merge(statistics_of(SAMPLES[:10]))
    assert canonical_json(merged.record()) == canonical_json(statistics_of(SAMPLES).record())


def test_a_faulty_pair_is_held_back_and_counted(monkeypatch):
    monkeypatch.setitem(synthesis.OPERATOR_FUNCTIONS, "shift", synthesis.OPERATOR_FUNCTIONS["delete"])
    statistics = PairStatistics()
    config = PreferenceConfig(weights=only("shift"), pairs_per_sample=1)
    assert list(synthesize_pairs([s.listing(2)], DURATIONS, config, s.donors(), statistics)) == []
    held = statistics.record()["checker"]
    assert held["held_back"] == 1
    assert "differs in event_set, which no factor records" in held["examples"]["clip_1/tal/2/shift/0"]


@st.composite
def arbitrary_samples(draw):
    """Answers with any number of events at any times, overlapping, nested, tiny or filling the clip."""
    duration_s = draw(st.floats(min_value=0.5, max_value=60.0))
    count = draw(st.integers(min_value=1, max_value=6))
    edges = st.floats(min_value=0, max_value=duration_s)
    spans = draw(
        st.lists(
            st.tuples(edges, edges).map(sorted).filter(lambda pair: pair[0] < pair[1]),
            min_size=count,
            max_size=count,
        )
    )
    task = draw(st.sampled_from(["tal", "dvc"]))
    said = draw(st.lists(st.sampled_from([*s.CAPTIONS, "A Cat"]), min_size=count, max_size=count))
    if task == "tal":
        answer = "In <evi>" + ", <evi>" * (count - 2) + ", and <evi>" * (count > 1) + "."
    else:
        answer = " ".join(f"<evi>, {caption}." for caption in said)
    found = [Event(start_s=a, end_s=b, caption=c) for (a, b), c in zip(spans, said, strict=True)]
    fields = s.TVG.model_dump() | {"id": "any", "task": task, "events": found, "answer": answer}
    return Sample(**fields), duration_s


@given(arbitrary_samples())
def test_every_pair_is_sound_whatever_the_events(case):
    sample, duration_s = case
    config = PreferenceConfig(pairs_per_sample=6, min_shift_s=0.1)
    statistics = PairStatistics()
    pairs = synthesize_pairs([sample], {sample.video: duration_s}, config, s.donors(sample), statistics)
    for pair in pairs:
        assert pair.chosen == sample.response()
        assert all(interval.end_s <= duration_s for interval in pair.rejected.evidence)
    assert statistics.record()["checker"]["examples"] == {}
