"""A hostile manifest in our own format: every trick has its code, and costs its own row."""

import json
from pathlib import Path
from typing import Any

import pytest

from annotations.reading import read_all
from annotations.samples import tvg, write_lines
from d2vlm_pipeline.timeline import Sample


def nan(value: str) -> str:
    return json.dumps(tvg("s")).replace('"end_s": 3.0', f'"end_s": {value}')


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (tvg("s", video="../a.mp4"), "outside_root"),
        (tvg("s", video="/etc/passwd"), "outside_root"),
        (tvg("s", video="sub/../../a.mp4"), "outside_root"),
        (tvg("s", video="a\0.mp4"), "bad_video_name"),
        (tvg("s", video="http://example.org/a.mp4"), "bad_video_name"),
        (tvg("s", video="file:/etc/passwd"), "bad_video_name"),
        (tvg("s", video="data:video/mp4;base64,AAAA"), "bad_video_name"),
        (tvg("s", video="nobody.mp4"), "missing_video"),
        (tvg("first"), "duplicate_id"),
        (nan("NaN"), "invalid_record"),
        (nan("Infinity"), "invalid_record"),
        (nan("-Infinity"), "invalid_record"),
        (nan("1e999"), "invalid_record"),
        (nan("0.5"), "invalid_record"),
        (tvg("s", colour="red"), "unknown_field"),
        ("{", "malformed_line"),
        (b"\xff\xfe{}", "malformed_line"),
        ("[" * 100_000, "malformed_line"),
        (b'{"id": "' + b"x" * (17 << 20) + b'"}', "oversized_line"),
    ],
)
def test_every_trick_is_told_by_its_code(
    tmp_path: Path, line: dict[str, Any] | str | bytes, code: str
) -> None:
    path = write_lines(tmp_path / "samples.jsonl", tvg("first"), line, tvg("last"))
    samples, rejections = read_all(path, "samples", split=None)
    assert [sample.id for sample in samples] == ["first", "last"]
    (rejection,) = rejections
    assert (rejection.line, rejection.code) == (2, code)
    assert str(rejection).isprintable() and len(str(rejection)) < 400


def test_a_good_line_comes_back_as_it_was(tmp_path: Path) -> None:
    record = tvg("s", split="val", source="mine")
    samples, _ = read_all(write_lines(tmp_path / "samples.jsonl", record), "samples", split=None)
    assert samples == [Sample.model_validate(record)]


def test_a_split_and_a_source_may_be_put_over_them(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "samples.jsonl", tvg("s", split="val", source="mine"))
    ((sample,), _) = read_all(path, "samples", split="test-iid", dataset="theirs")
    assert (sample.split, sample.source) == ("test-iid", "theirs")
