"""No content of a file of predictions breaks the scoring of intervals: figures, or one line of complaint."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored

NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from([0, -0.0, 5e-324, 1e308, -1e308, 149.9, 150, 10**400]),
)
JSON = st.recursive(
    st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
TIMES = st.one_of(NUMBERS, st.floats(0, 150), JSON)
WINDOWS = st.one_of(JSON, st.lists(st.lists(TIMES, min_size=2, max_size=3), max_size=4))
LINES = st.lists(
    st.one_of(
        JSON,
        st.fixed_dictionaries(
            {"qid": st.integers(1, 2)},
            optional={
                "pred_relevant_windows": WINDOWS,
                "pred_saliency_scores": st.one_of(JSON, st.lists(TIMES, max_size=80)),
                "vid": st.one_of(JSON, st.sampled_from(["a", "v_a.mp4"])),
            },
        ),
    ),
    max_size=3,
)
ENTRIES = st.dictionaries(
    st.sampled_from(["0", "1", "2", "x"]),
    st.one_of(
        JSON,
        st.fixed_dictionaries(
            {},
            optional={"timestamp": st.one_of(WINDOWS, st.lists(TIMES, max_size=2)), "vid": JSON},
        ),
    ),
    max_size=3,
)
MANY = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("hostile")
    rows = [
        {
            "qid": qid,
            "vid": "a",
            "query": "q",
            "duration": 150,
            "relevant_windows": [[10, 30], [40, 48]],
            "relevant_clip_ids": [5],
            "saliency_scores": [[4, 3, 0]],
        }
        for qid in (1, 2)
    ]
    (home / "highlights.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = [{"id": k, "image_id": "a", "caption": "c", "timestamp": [10, 30]} for k in range(3)]
    (home / "charades.json").write_text(json.dumps({"annotations": queries}))
    return home


def check(benchmark: str, predictions: Path, truth: Path) -> None:
    found = find_benchmark(benchmark)
    rules = [each.rules for each in (*found.protocols.values(), *found.traps)]
    for each in rules:
        try:
            scored = found.score(found.read(Files(predictions, (truth,))), each)
        except UserError as error:
            assert str(error).startswith((str(predictions), "no ")) or "queries have no" in str(error)
            assert "\n" not in str(error)
        else:
            assert_sane(scored)


def assert_sane(scored: Scored) -> None:
    values = _leaves(scored.metrics)
    assert all(value is None or 0 <= value <= 100 + 1e-9 for value in values)
    for measure in scored.measures:
        assert not math.isnan(float(measure.contribution.stats_RS.sum()))


def _leaves(node: Any) -> list[Any]:
    return [each for inner in node.values() for each in _leaves(inner)] if isinstance(node, dict) else [node]


@MANY
@given(LINES, st.sampled_from(["qvhighlights", "timechat-vhd"]))
def test_highlights_are_scored_or_refused(folder: Path, lines: list[Any], benchmark: str) -> None:
    path = folder / "said.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    check(benchmark, path, folder / "highlights.jsonl")


@MANY
@given(ENTRIES)
def test_grounding_is_scored_or_refused(folder: Path, entries: dict[str, Any]) -> None:
    path = folder / "said.json"
    path.write_text(json.dumps(entries))
    check("charades-sta", path, folder / "charades.json")


@MANY
@given(st.binary(max_size=40))
def test_bytes_are_refused(folder: Path, content: bytes) -> None:
    path = folder / "said.bin"
    path.write_bytes(content)
    check("charades-sta", path, folder / "charades.json")
    check("qvhighlights", path, folder / "highlights.jsonl")
