"""Times that cannot be of their video are one line with the place, in predictions and in the truth."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from d2vlm_pipeline.cli import main

FAR = [5000.0, 6000.0]
NEAR = [2.0, 8.0]


def qvhighlights(said: list[float], true: list[float]) -> tuple[Any, Any]:
    truth = {
        "qid": 1,
        "query": "a dog",
        "vid": "v_0.0_150.0",
        "duration": 150,
        "relevant_windows": [true],
        "relevant_clip_ids": [1, 2, 3],
        "saliency_scores": [[4, 4, 4]] * 3,
    }
    windows = [[*said, 0.9]]
    return {"qid": 1, "query": "a dog", "vid": "v_0.0_150.0", "pred_relevant_windows": windows}, truth


def activitynet(said: list[float], true: list[float]) -> tuple[Any, Any]:
    told = {"results": {"v_1": [{"sentence": "a dog runs", "timestamp": said}]}, "version": "1"}
    return told, {"v_1": {"duration": 150.0, "timestamps": [true], "sentences": ["a dog runs"]}}


BENCHMARKS = {
    "qvhighlights": (qvhighlights, "jsonl", "p.jsonl:1", "g.jsonl:1"),
    "activitynet-captions": (activitynet, "json", "p.json: 'v_1'", "g.json: 'v_1'"),
}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("where", ["nowhere", "predictions", "truth"])
def test_times_far_beyond_the_video_are_one_line(name: str, where: str, tmp_path: Path) -> None:
    make, suffix, *places = BENCHMARKS[name]
    contents = make(FAR if where == "predictions" else NEAR, FAR if where == "truth" else NEAR)
    paths = [tmp_path / f"{letter}.{suffix}" for letter in "pg"]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    result = CliRunner().invoke(
        main,
        ["score", "--benchmark", name, "--predictions", str(paths[0]), "--ground-truth", str(paths[1])],
    )
    if where == "nowhere":
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert places[where == "truth"] in result.stderr
