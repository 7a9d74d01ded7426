"""Recorded magnitudes are what the responses show, and what was asked for."""

from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.preferences import (
    OPERATORS,
    OperatorWeights,
    PairStatistics,
    PreferenceConfig,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import Event
from preferences import samples as s

BANDS = [(0.0, 0.3), (0.3, 0.5), (0.5, 0.7)]
BOUNDARIES = ("shift", "resize", "wrong_evidence")


def only(*operators: str) -> OperatorWeights:
    return OperatorWeights(**{name: float(name in operators) for name in OPERATORS})


@st.composite
def clips(draw):
    """A clip with one to five events anywhere, overlapping and nested ones among them."""
    duration_s = draw(st.floats(min_value=8.0, max_value=120.0))
    count = draw(st.integers(min_value=1, max_value=5))
    edges = st.floats(min_value=0, max_value=duration_s)
    spans = st.tuples(edges, edges).map(sorted).filter(lambda pair: pair[1] - pair[0] > 0.5)
    found = draw(st.lists(spans, min_size=count, max_size=count))
    events = [Event(start_s=a, end_s=b, caption=f"thing {k}") for k, (a, b) in enumerate(found)]
    task = draw(st.sampled_from(["tal", "dvc"]))
    lists = "In <evi>" + ", <evi>" * (count - 2) + ", and <evi>" * (count > 1) + "."
    says = " ".join(f"<evi>, thing {k}." for k in range(count))
    sample = s.sample(task, lists if task == "tal" else says, events=events, id="any")
    return sample, duration_s


def made(sample, duration_s, **config):
    statistics = PairStatistics()
    durations = {sample.video: duration_s}
    donors = s.donors(sample)
    pairs = list(synthesize_pairs([sample], durations, PreferenceConfig(**config), donors, statistics))
    assert statistics.record()["checker"]["examples"] == {}
    return pairs


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("operator", BOUNDARIES)
@settings(max_examples=60)
@given(clips())
def test_every_wrong_interval_lies_in_the_band_that_was_asked_for(operator, band, case):
    sample, duration_s = case
    magnitudes = s.moved(operator, *band)
    for pair in made(sample, duration_s, weights=only(operator), magnitudes=magnitudes, min_shift_s=0.2):
        (factor,) = pair.factors
        true, wrong = pair.chosen.evidence, pair.rejected.evidence
        # The definition once more, apart from the code under test.
        ious = []
        for k in factor.event_ids:
            overlap = max(0.0, min(true[k].end_s, wrong[k].end_s) - max(true[k].start_s, wrong[k].start_s))
            ious.append(overlap / (true[k].duration_s + wrong[k].duration_s - overlap))
        assert all(band[0] - 1e-9 <= iou <= band[1] + 1e-9 for iou in ious)
        assert factor.magnitude["max_iou"] == pytest.approx(max(ious), abs=1e-4)
        assert factor.magnitude["events"] == len(factor.event_ids) == len(ious)
        if "mean_shift_s" in factor.magnitude:
            moves_s = [abs(true[k].start_s - wrong[k].start_s) for k in factor.event_ids]
            assert factor.magnitude["mean_shift_s"] == pytest.approx(fmean(moves_s), abs=1e-3)
        assert all(interval.end_s <= duration_s for interval in wrong)


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("operator", BOUNDARIES)
def test_an_ordinary_event_can_be_put_into_every_band(operator, band):
    event = s.sample("tvg", "In <evi>.", events=[Event(start_s=10.0, end_s=16.0)], id="ordinary")
    assert made(event, 40.0, weights=only(operator), magnitudes=s.moved(operator, *band), pairs_per_sample=3)


@settings(max_examples=60)
@given(clips())
def test_events_are_counted_as_recorded(case):
    sample, duration_s = case
    weights = only("add", "delete", "merge", "split", "reorder")
    for pair in made(sample, duration_s, weights=weights, pairs_per_sample=5, min_shift_s=0.2):
        (factor,) = pair.factors
        events, pieces = (factor.magnitude.get(name, 0) for name in ("events", "pieces"))
        more = {"add": 1, "delete": -events, "merge": 1 - events, "split": pieces - 1, "reorder": 0}
        assert len(pair.rejected.evidence) == len(pair.chosen.evidence) + more[factor.operator]


def test_several_bands_are_all_drawn():
    sample = s.sample("tvg", "In <evi>.", events=[Event(start_s=10.0, end_s=16.0)])
    bands = [{"low": low, "high": high} for low, high in BANDS]
    samples = [sample.model_copy(update={"id": str(k)}) for k in range(60)]
    config = PreferenceConfig(weights=only("shift"), magnitudes={"shift": {"iou": bands}}, pairs_per_sample=1)
    pairs = list(synthesize_pairs(samples, {sample.video: 40.0}, config, s.donors()))
    found = [pair.factors[0].magnitude["max_iou"] for pair in pairs]
    edges = [0.0, 0.3, 0.5, 0.7]
    assert all(sum(low <= iou <= high for iou in found) > 8 for low, high in pairwise(edges))
