"""JSON lines are untrusted: every fault names file, line and mend."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import Interval, LineError, dump_jsonl, jsonl, read_jsonl, scan_jsonl

GOOD = b'{"start_s": 1, "end_s": 2}'
INTERVAL = Interval(start_s=1, end_s=2)


def write(tmp_path: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(line + end for line in lines))
    return path


def test_records_come_with_their_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, b"", b"  ", GOOD)
    assert list(read_jsonl(path, Interval)) == [(1, INTERVAL), (4, INTERVAL)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: bytes) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + GOOD, GOOD, end=end)
    assert [line for line, _ in read_jsonl(path, Interval)] == [1, 2]


def test_last_line_needs_no_line_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n" + GOOD)
    assert len(list(read_jsonl(path, Interval))) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"start_s": 1, "end_s"', "Invalid JSON"),
        (b'{"start_s": 3, "end_s": 2}', "must start before it ends"),
        (b'{"start_s": 1}', "end_s: Field required"),
        (b'{"start_s": 1, "end_s": NaN}', "finite"),
        (b'{"start_s": 1, "end_s": 1e999}', "finite"),
        (b'{"start_s": "soon", "end_s": 2}', "start_s: .*'soon'"),
        (b'{"start_s": 1, "end_s": 2, "stop": 3}', "stop: Extra inputs"),
        (b"[1, 2]", "object"),
        (b'{"start_s": 1, "end_s": 2, "\xff": 3}', "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
    ],
)
def test_a_bad_line_stops_reading_and_is_skipped_by_scanning(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = write(tmp_path, GOOD, bad, GOOD)
    with pytest.raises(LineError, match=rf"rows\.jsonl:2: .*{reason}.*; correct the line or drop it"):
        list(read_jsonl(path, Interval))
    first, second, third = (record for _, record in scan_jsonl(path, Interval))
    assert first == third == INTERVAL
    assert isinstance(second, LineError)
    assert (second.path, second.line, second.raw.strip()) == (path, 2, bad)
    assert str(second) == f"{path}:2: {second.reason}; correct the line or drop it"
    assert "\n" not in str(second)


def test_an_endless_line_is_refused_without_reading_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "_MAX_LINE_BYTES", 64)
    path = write(tmp_path, GOOD, b"x" * 1000, b"y" * 65, GOOD + b" " * (64 - len(GOOD) - 1))
    records = dict(scan_jsonl(path, Interval))
    assert records[1] == records[4] == INTERVAL
    assert all(isinstance(records[line], LineError) for line in (2, 3))
    assert "longer than" in str(records[2])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        list(read_jsonl(tmp_path / "gone.jsonl", Interval))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(1e-3, 1e3)), max_size=8))
def test_dump_and_read_are_inverse(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]
) -> None:
    records = [Interval(start_s=start_s, end_s=start_s + length_s) for start_s, length_s in rows]
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text(dump_jsonl(records), encoding="utf-8")
    assert [record for _, record in read_jsonl(path, Interval)] == records


def test_dumped_bytes_are_canonical() -> None:
    assert dump_jsonl([INTERVAL, INTERVAL]) == '{"end_s":2.0,"start_s":1.0}\n' * 2
