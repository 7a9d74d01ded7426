"""Whatever stands in a file, a reader ends with a sample or a rejection for every row, never otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.reading import read_all, write_text
from d2vlm_pipeline.timeline import dump_jsonl

numbers = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(), st.sampled_from([0, 1, 5, 1.5, 1e308, -0.0])
)
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["a", "a.mp4", "../a", "tvg", "dvc", "rar", "human", "gpt", "\ud800", "a\udc00b"]),
    st.sampled_from(["<evi>", "</evi>", "<vid> - <vid>", "<vid>"]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["from", "value", "chosen", "x_y_f", "segment", "sentence"]), inner),
    ),
    max_leaves=12,
)

ENTRIES: dict[str, dict[str, Any]] = {
    "et_instruct": {
        "task": "tvg",
        "source": "x",
        "video": "a",
        "duration": 9,
        "src": None,
        "tgt": [1, 2],
        "conversations": [
            {"from": "human", "value": "When?"},
            {"from": "gpt", "value": "<evi></evi>In <evi>."},
        ],
    },
    "etbench": {
        "idx": 1,
        "task": "gvq",
        "source": "x",
        "video": "a",
        "duration": 9,
        "src": [1, 2],
        "tgt": [[1, 2]],
        "p": 0,
        "o": ["x", "y"],
        "g": None,
        "q": "In <vid> - <vid>?",
    },
    "fpo": {
        "task": "tvg",
        "source": "x",
        "video": "a",
        "duration": 9,
        "src": None,
        "tgt": {"chosen": [1, 2]},
        "conversations": {
            "chosen": [
                {"from": "human", "value": "When?"},
                {"from": "gpt", "value": "<evi></evi>In <evi>."},
            ]
        },
    },
    "qvhighlights": {"qid": 1, "query": "x", "duration": 9, "vid": "a", "relevant_windows": [[1, 2]]},
    "activitynet": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["x"]},
    "youcook2": {
        "duration": 9,
        "subset": "training",
        "annotations": [{"segment": [1, 2], "sentence": "x"}],
    },
    "caption_coco": {
        "image_id": "a",
        "duration": 9,
        "segments": [[1, 2]],
        "pure_cap": "x",
        "caption": "y",
        "timestamp": [1, 2],
    },
    "samples": {
        "id": "s",
        "video": "a",
        "task": "tvg",
        "source": "x",
        "split": "train",
        "question": "When?",
        "events": [{"start_s": 1, "end_s": 2}],
        "answer": "In <evi>.",
    },
}


@st.composite
def entries(draw: st.DrawFn, format_name: str) -> Any:
    """A good entry with up to three of its fields replaced by anything; now and then, anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    good = ENTRIES[format_name]
    fields = draw(st.lists(st.sampled_from(sorted(good)), max_size=3, unique=True))
    return {**good, **{field: draw(values) for field in fields}}


def written(path: Path, format_name: str, rows: list[Any]) -> Path:
    """The file that holds these entries, NaN and Infinity as Python writes them."""
    if format_name in ("qvhighlights", "samples"):
        return write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    names = ["a", "b", "\ud800", "\0"]
    named = dict(zip(names, rows, strict=False))
    shapes: dict[str, Any] = {
        "activitynet": named,
        "youcook2": {"database": named},
        "caption_coco": {"annotations": rows},
    }
    return write_text(path, json.dumps(shapes.get(format_name, rows)))


@pytest.mark.parametrize("format_name", ENTRIES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_entry_is_accounted_for(format_name: str, tmp_path: Path, data: st.DataObject) -> None:
    rows = data.draw(st.lists(entries(format_name), min_size=1, max_size=4))
    samples, rejections = read_all(written(tmp_path / "file", format_name, rows), format_name)
    assert len(samples) + len(rejections) == len(rows)
    dump_jsonl([*samples, *rejections]).encode()
    for rejection in rejections:
        assert rejection.reason and len(str(rejection)) < 500 and "\n" not in str(rejection)


@pytest.mark.parametrize("format_name", ENTRIES)
def test_the_good_entry_is_good(format_name: str, tmp_path: Path) -> None:
    """Otherwise the test above would try nothing but rejections."""
    path = written(tmp_path / "file", format_name, [ENTRIES[format_name]])
    assert len(read_all(path, format_name)[0]) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")), max_size=5))
def test_any_bytes_as_lines_of_charades(lines: list[bytes], tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", b"\n".join([b"a 0 1##x", *lines]))
    samples, rejections = read_all(path, "charades_sta")
    assert len(samples) + len(rejections) == 1 + sum(bool(line.strip()) for line in lines)
