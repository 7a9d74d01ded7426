"""What scoring is timed against comes to the same figures."""

import json
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from benchmarks.score import PARTS, seconds
from benchmarks.score_contest import Contest
from benchmarks.score_qvhighlights import contest

from benchmarks import score_etbench
from conformance.public import public_file


def qvhighlights_files(folder: Path, seed: int, queries: int = 40) -> tuple[Path, Path]:
    """A submission and its truth, with ties, windows in any order, and vectors too short or too long."""
    rng = Random(seed)
    said, asked = (folder / name for name in ("said.jsonl", "asked.jsonl"))
    rows = [_asked(rng, qid) for qid in range(queries)]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said.write_text("".join(json.dumps(_said(rng, row)) + "\n" for row in rows))
    return said, asked


def _asked(rng: Random, qid: int) -> dict[str, Any]:
    # Whatever else is drawn, each part by length has queries.
    lengths = [*rng.sample([6, 20, 50, 8, 30, 10], rng.randint(1, 4)), [6, 20, 50][qid % 3]]
    windows = [(start := 2 * rng.randint(0, 40), start + length) for length in lengths]
    clips = sorted(rng.sample(range(70), rng.randint(1, 30)))
    return {
        "qid": qid,
        "vid": f"v{qid}",
        "query": "q",
        "duration": 150 - 10 * (qid % 2),
        "relevant_windows": windows,
        "relevant_clip_ids": clips,
        "saliency_scores": [[rng.randint(0, 4) for _ in range(3)] for _ in clips],
    }


def _said(rng: Random, row: dict[str, Any]) -> dict[str, Any]:
    near = [[edge_s + rng.randint(-3, 3) for edge_s in window] for window in row["relevant_windows"]]
    far = [[start := rng.randint(0, 140), start + rng.randint(1, 40)] for _ in range(rng.randint(0, 12))]
    windows = [[*window, round(rng.random(), 1)] for window in near + far]
    rng.shuffle(windows)
    scores = [round(rng.gauss(0, 1), rng.randint(0, 2)) for _ in range(rng.choice([75, 70, 66, 79]))]
    return {"qid": row["qid"], "pred_relevant_windows": windows, "pred_saliency_scores": scores}


@pytest.mark.parametrize("seed", range(8))
def test_loops_and_arrays_agree_on_qvhighlights(tmp_path: Path, seed: int) -> None:
    found = contest("drawn", *qvhighlights_files(tmp_path, seed))
    assert found.ours() == found.loops()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_found(part: str) -> None:
    module, _, function = PARTS[part].partition(":")
    assert callable(getattr(import_module(module), function))


def test_nothing_is_timed_that_differs(tmp_path: Path) -> None:
    said, asked = qvhighlights_files(tmp_path, 0)
    right = contest("drawn", said, asked)
    wrong = Contest("wrong", 1, right.ours, lambda: {}, lambda ours, theirs: ours == theirs)
    with pytest.raises(SystemExit, match="wrong: the plain loops give other figures"):
        seconds(wrong, repetitions=1)
    assert set(seconds(right, repetitions=1)) == {"ours", "loops"}


def test_loops_and_ours_agree_on_etbench() -> None:
    samples = json.loads(public_file("etbench", "etbench_synthetic_pred.json").read_text())
    larger = score_etbench.full_size(samples)[::10]
    for rows in (samples, larger):
        found = score_etbench.contest("drawn", rows, score_etbench.at_hand, score_etbench.at_hand)
        assert found.same(found.ours(), found.loops())
