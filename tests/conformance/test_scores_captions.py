"""Figures of the public evaluators of dense captions come out as they were recorded."""

import json
from typing import Any

import pytest

from conformance.public import public_file
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.evaluation.benchmarks.youcook2 import wording
from d2vlm_pipeline.evaluation.captions import meteor_unavailable

FOLDER = "youcook2_dvc"
PREDICTIONS = ["timechat_pred", "perturbed_pred"]
CAPTIONS, JAVA = ("CIDER", "METEOR", "SODA_c_2"), ("METEOR", "SODA_c_2")


def recorded(predictions: str) -> Any:
    return json.loads(public_file(FOLDER, f"{predictions}.d2vlm.expected.json").read_text())


def scored(predictions: str, protocol: str = "official") -> Scored:
    found = find_benchmark("youcook2")
    files = Files(public_file(FOLDER, f"{predictions}.json"), (public_file(FOLDER, "val.gt.json"),))
    return found.score(found.read(files), found.protocols[protocol].rules)


def tolerance(name: str) -> float:
    return 1e-4 if name in CAPTIONS else 1e-6


@pytest.fixture
def no_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "meteor_unavailable", lambda: "no Java; install it")


def check(result: Scored, predictions: str, without: tuple[str, ...] = ()) -> None:
    """Every recorded figure, and every one of the recorded videos."""
    expected = recorded(predictions)
    assert set(result.metrics) == set(expected["mean_percent"])
    for name, value in expected["mean_percent"].items():
        if name not in without:
            assert result.metrics[name] == pytest.approx(value, abs=tolerance(name)), name
    by_video = {measure.path[0]: measure.contribution.stats_RS[:, 0] for measure in result.measures}
    assert len(expected["per_video_first20_fraction"]) == 20
    for video, row in enumerate(expected["per_video_first20_fraction"]):
        for name, value in row.items():
            if name in by_video:
                assert by_video[name][video] == pytest.approx(value, abs=tolerance(name)), (video, name)


@pytest.mark.parametrize("predictions", PREDICTIONS)
def test_youcook2_where_java_is_absent(predictions: str, no_meteor: None) -> None:
    result = scored(predictions)
    check(result, predictions, without=JAVA)
    assert dict(result.unavailable) == dict.fromkeys(JAVA, "no Java; install it")
    assert [result.metrics[name] for name in JAVA] == [None, None]


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.parametrize("predictions", PREDICTIONS)
def test_youcook2(predictions: str) -> None:
    """About half a minute: METEOR of 30,000 pairs of captions."""
    if reason := meteor_unavailable():
        pytest.skip(reason)
    result = scored(predictions)
    check(result, predictions)
    assert not result.unavailable
