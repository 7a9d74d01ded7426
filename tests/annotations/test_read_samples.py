from pathlib import Path
from typing import Any

import pytest

from annotations.samples import tvg, write_lines
from d2vlm_pipeline.annotations import REJECTION_CODES, Rejection, iter_samples, read_samples
from d2vlm_pipeline.annotations.jsonl import TOLERANCE_S
from d2vlm_pipeline.annotations.rejection import MENDS
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import Sample

DURATIONS = {"a.mp4": 31.0, "b.mp4": 10.0}


def rejection(tmp_path: Path, line: dict[str, Any] | str | bytes, **arguments: Any) -> Rejection:
    """The one rejection of `line` between two good lines, both of which must survive."""
    path = write_lines(tmp_path / "annotations.jsonl", tvg("first"), line, tvg("last"))
    samples, rejections = read_samples(path, DURATIONS, **arguments)
    assert [sample.id for sample in samples] == ["first", "last"]
    (only,) = rejections
    assert (only.file, only.line) == (str(path), 2)
    assert only.reason and only.mend and "\n" not in str(only)
    return only


def test_good_samples_come_in_order_as_written(tmp_path: Path) -> None:
    records = [tvg("s2"), tvg("s1", video="b.mp4", split="val")]
    samples, rejections = read_samples(write_lines(tmp_path / "a.jsonl", *records), DURATIONS)
    assert samples == [Sample.model_validate(record) for record in records]
    assert rejections == []


def test_an_event_past_the_end_reads_as_the_example_of_the_house(tmp_path: Path) -> None:
    found = rejection(tmp_path, tvg("s", end_s=35.2))
    assert (found.code, found.video, found.sample_id) == ("event_past_end", "a.mp4", "s")
    assert str(found) == (
        f"{tmp_path}/annotations.jsonl:2: event ends at 35.2 s but a.mp4 lasts 31 s; "
        "shorten the event or drop the row"
    )


@pytest.mark.parametrize(("excess_s", "kept"), [(0.0, 1), (TOLERANCE_S * 0.9, 1), (TOLERANCE_S * 1.1, 0)])
def test_the_end_has_a_millisecond_of_tolerance(tmp_path: Path, excess_s: float, kept: int) -> None:
    samples, rejections = read_samples(write_lines(tmp_path / "a", tvg(end_s=31.0 + excess_s)), DURATIONS)
    assert (len(samples), len(rejections)) == (kept, 1 - kept)


def test_a_later_event_past_the_end_counts_too(tmp_path: Path) -> None:
    events = [{"start_s": 1, "end_s": 2}, {"start_s": 3, "end_s": 40}]
    line = tvg("s", task="tal", events=events, answer="The action happens in <evi>, and <evi>.")
    assert rejection(tmp_path, line).code == "event_past_end"


def test_a_query_interval_past_the_end(tmp_path: Path) -> None:
    line = tvg(
        "s", task="rvc", question="What happens in <evi>?", query_intervals=[[9.0, 32.0]], answer="A ball."
    )
    line["events"] = []
    found = rejection(tmp_path, line)
    assert found.code == "query_past_end" and "query interval ends at 32 s" in found.reason


@pytest.mark.parametrize(
    "line",
    ["{", "not json", '{"id": "s"', b"\xff\xfe", "[" * 5000, '{"id": "s\n"}'[:9]],
)
def test_malformed_lines(tmp_path: Path, line: str | bytes) -> None:
    assert rejection(tmp_path, line).code == "malformed_line"


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    samples, rejections = read_samples(write_lines(tmp_path / "a", "", tvg(), "   "), DURATIONS)
    assert (len(samples), rejections) == (1, [])


@pytest.mark.parametrize("where", ["row", "event"])
def test_unknown_fields_are_named(tmp_path: Path, where: str) -> None:
    line = tvg("s")
    (line if where == "row" else line["events"][0])["anser"] = "x"
    found = rejection(tmp_path, line)
    assert (found.code, found.sample_id, found.video) == ("unknown_field", "s", "a.mp4")
    assert "anser" in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "nonsense"},
        {"events": []},
        {"events": [{"start_s": 3.0, "end_s": 1.0}]},
        {"events": [{"start_s": -1.0, "end_s": 1.0}]},
        {"answer": 7},
        {"options": ["a", "b"]},
    ],
)
def test_rows_that_break_the_record_are_invalid(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = rejection(tmp_path, tvg("s", **changes))
    assert (found.code, found.sample_id) == ("invalid_record", "s")


@pytest.mark.parametrize("line", ["7", "[1, 2]", "null", '{"id": 3, "video": ["x"]}'])
def test_json_that_is_no_sample(tmp_path: Path, line: str) -> None:
    found = rejection(tmp_path, line)
    assert (found.code, found.video, found.sample_id) == ("invalid_record", None, None)


def test_a_time_that_is_not_a_number(tmp_path: Path) -> None:
    line = '{"id":"s","video":"a.mp4","events":[{"start_s":NaN,"end_s":2}]}'
    assert rejection(tmp_path, line).code == "invalid_record"


def test_the_second_use_of_an_id_is_rejected_and_names_the_first(tmp_path: Path) -> None:
    found = rejection(tmp_path, tvg("first", video="b.mp4"))
    assert found.code == "duplicate_id" and "line 1" in found.reason


def test_a_rejected_row_does_not_hold_its_id(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a", tvg("s", end_s=99.0), tvg("s"))
    samples, rejections = read_samples(path, DURATIONS)
    assert [sample.id for sample in samples] == ["s"]
    assert [rejection.code for rejection in rejections] == ["event_past_end"]


def test_missing_and_quarantined_videos_differ(tmp_path: Path) -> None:
    assert rejection(tmp_path, tvg("s", video="c.mp4")).code == "missing_video"
    found = rejection(tmp_path, tvg("s", video="c.mp4"), quarantined={"c.mp4": "truncated"})
    assert found.code == "quarantined_video" and "truncated" in found.reason


def test_an_over_long_line_is_skipped_whole(tmp_path: Path) -> None:
    found = rejection(tmp_path, b'{"id": "' + b"x" * (17 << 20) + b'"}')
    assert found.code == "oversized_line"
    assert len(found.reason) < 200


def test_a_missing_file_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_samples(tmp_path / "none.jsonl", DURATIONS)


def test_reading_streams(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a", tvg("s1"), "broken", tvg("s2"))
    records = iter_samples(path, DURATIONS)
    kinds = [type(next(records)) for _ in range(3)]
    assert kinds == [Sample, Rejection, Sample]


def test_every_code_has_a_mend() -> None:
    assert set(MENDS) == set(REJECTION_CODES)
