import json
from pathlib import Path
from typing import Any

import pytest

from annotations.reading import only_rejection, only_sample, read_all, write_text

ROW = {
    "qid": 7,
    "query": "A dog runs.",
    "duration": 30,
    "vid": "a",
    "relevant_windows": [[2, 4], [10, 14]],
    "relevant_clip_ids": [1, 5, 6],
    "saliency_scores": [[1, 2, 3]],
}


def written(tmp_path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    return write_text(tmp_path / "qvh.jsonl", "\n".join(lines) + "\n")


def test_all_windows_of_a_query(tmp_path: Path) -> None:
    sample = only_sample(written(tmp_path, ROW), "qvhighlights")
    assert (sample.id, sample.task, sample.video) == ("qvhighlights-7", "tal", "a.mp4")
    assert [(event.start_s, event.end_s) for event in sample.events] == [(2, 4), (10, 14)]
    assert {event.caption for event in sample.events} == {"A dog runs"}
    assert sample.answer == "The action happens in <evi>, and <evi>."


def test_one_window_is_one_moment_and_none_is_absence(tmp_path: Path) -> None:
    one, none = {**ROW, "relevant_windows": [[0, 2]]}, {**ROW, "qid": 8, "relevant_windows": []}
    samples, _ = read_all(written(tmp_path, one, none), "qvhighlights")
    assert [sample.task for sample in samples] == ["tvg", "tal"]
    assert samples[1].is_absent and "No such event" in samples[1].answer


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"relevant_windows": [[4, 2]]}, "bad_interval"),
        ({"relevant_windows": [[1, 2, 3]]}, "invalid_record"),
        ({"relevant_windows": "all"}, "invalid_record"),
        ({"query": " "}, "missing_field"),
        ({"vid": "../a"}, "outside_root"),
        ({"vid": "a\0.mp4"}, "bad_video_name"),
        ({"vid": ["a"]}, "invalid_record"),
    ],
)
def test_bad_rows(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    assert only_rejection(written(tmp_path, {**ROW, **changes}), "qvhighlights").code == code


def test_rows_without_truth_say_so(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "relevant_windows"}
    rejection = only_rejection(written(tmp_path, row), "qvhighlights")
    assert rejection.code == "missing_field" and "relevant_windows" in rejection.reason


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"qid": 1, "query": "x", "vid": "a", "relevant_windows": [[0, NaN]]}', "not_finite"),
        ('{"qid": 1, "query": "x", "vid": "a", "relevant_windows": [[0, Infinity]]}', "not_finite"),
        ('{"qid": 1, "query": "x", "vid": "a", "duration": NaN, "relevant_windows": []}', "not_finite"),
        ('{"qid": 1, "qid": 2, "query": "x", "vid": "a", "relevant_windows": []}', "invalid_record"),
        ("[1, 2]", "invalid_record"),
        ("{", "malformed_line"),
        ("[" * 100_000, "malformed_line"),
        ('{"qid": ' + "9" * 5000 + "}", "malformed_line"),
    ],
)
def test_hostile_lines(tmp_path: Path, line: str, code: str) -> None:
    samples, rejections = read_all(written(tmp_path, ROW, line, {**ROW, "qid": 9}), "qvhighlights")
    assert [sample.id for sample in samples] == ["qvhighlights-7", "qvhighlights-9"]
    assert [(r.line, r.code) for r in rejections] == [(2, code)]


def test_an_id_is_used_once(tmp_path: Path) -> None:
    samples, rejections = read_all(written(tmp_path, ROW, ROW), "qvhighlights")
    assert len(samples) == 1
    assert rejections[0].code == "duplicate_id" and "qvh.jsonl:1" in rejections[0].reason
