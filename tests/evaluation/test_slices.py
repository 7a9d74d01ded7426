"""A score apart for short and long clips, for few and many events."""

import numpy as np
import pytest
from pydantic import ValidationError

from d2vlm_pipeline.evaluation import EvaluationConfig, score_system
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.measured import measure_system
from d2vlm_pipeline.evaluation.slices import SliceConfig, SliceScore, slice_scores
from evaluation.scoring_records import CAPTIONS, one_hot, predict, sample

CONFIG = SliceConfig(duration_edges_s=(20.0, 40.0), event_edges=(2, 4))


@pytest.mark.parametrize(
    ("duration_s", "name"), [(19.9, "< 20 s"), (20.0, "20-40 s"), (39.0, "20-40 s"), (40.0, "≥ 40 s")]
)
def test_an_edge_belongs_to_the_slice_behind_it(duration_s, name):
    assert CONFIG.duration_slice(duration_s) == name


@pytest.mark.parametrize(
    ("events", "name"), [(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3"), (4, "≥ 4"), (9, "≥ 4")]
)
def test_events_are_counted_in_whole_numbers(events, name):
    assert CONFIG.event_slice(events) == name


def test_without_edges_everything_is_one_slice_and_neighbouring_numbers_stand_alone():
    whole = SliceConfig(duration_edges_s=(), event_edges=())
    assert (whole.duration_slice(3.0), whole.event_slice(3)) == ("all", "≥ 0")
    single = SliceConfig(event_edges=(1, 2, 3))
    assert [single.event_slice(events) for events in (0, 2, 3)] == ["0", "2", "≥ 3"]


def test_edges_have_to_rise():
    with pytest.raises(ValidationError, match=r"event_edges must rise, got \[4, 2\]"):
        SliceConfig(event_edges=(4, 2))


def test_a_slice_is_scored_by_its_questions_alone():
    one, two, three = (
        sample("tvg", [(1.0, 2.0)], "s1"),
        sample("tvg", [(1.0, 2.0)], "s2"),
        sample("tvg", [(1.0, 2.0), (3.0, 4.0)], "s3"),
    )
    metric = Contribution(
        tuple(s.video for s in (one, two, three)),
        np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]),
        ratio,
        unparsed=0,
        ids=("s1", "s2", "s3"),
    )
    durations = {"s1.mp4": 10.0, "s2.mp4": 30.0, "s3.mp4": 30.0}
    assert slice_scores(metric, {s.id: s for s in (one, two, three)}, durations, CONFIG) == {
        "duration": {"< 20 s": SliceScore(value=100.0, n=1), "20-40 s": SliceScore(value=50.0, n=2)},
        "events": {"0-1": SliceScore(value=50.0, n=2), "2-3": SliceScore(value=100.0, n=1)},
    }


def test_sums_and_slices_are_those_of_the_scores():
    asked = [
        sample("tvg", [(1.0, 3.0)], "s1", video="a.mp4"),
        sample("tvg", [(1.0, 3.0)], "s2", video="a.mp4"),
        sample("tvg", [(5.0, 9.0)], "s3", video="b.mp4"),
        sample("dvc", [(1.0, 3.0, CAPTIONS[0]), (5.0, 9.0, CAPTIONS[1])], "s4", video="b.mp4"),
    ]
    told = "<evi></evi>The event happens in <evi>."
    said = [predict(s, told, [(1.0, 3.0), (1.0, 3.0)]) for s in asked[:3]]
    config = EvaluationConfig(tasks=("tvg", "dvc"), resamples=2)
    durations = {"a.mp4": 10.0, "b.mp4": 30.0}
    scores = score_system(asked, said, config, one_hot)
    found = measure_system(asked, said, durations, config, CONFIG, one_hot)
    for task, metrics in scores["test-iid"].items():
        assert set(found.sums["test-iid"][task]) == set(metrics)
        for name, score in metrics.items():
            assert found.sums["test-iid"][task][name].value == pytest.approx(score["value"], abs=1e-4)
    assert found.sums["test-iid"]["tvg"]["f1"].sums == ((2.0, 2.0), (0.0, 1.0))
    assert found.slices["test-iid"]["tvg"]["f1"]["duration"] == {
        "< 20 s": SliceScore(value=100.0, n=2),
        "20-40 s": SliceScore(value=0.0, n=1),
    }
    assert found.slices["test-iid"]["dvc"]["cap_f1"]["events"] == {"2-3": SliceScore(value=0.0, n=1)}
