from pathlib import Path

import pytest

from annotations.reading import only_rejection, only_sample, read_all, write_text
from d2vlm_pipeline.artifacts import UserError

LINE = "a 1.5 4.0##a person opens the door."


def test_a_line_is_a_query_with_its_moment(tmp_path: Path) -> None:
    sample = only_sample(write_text(tmp_path / "sta.txt", LINE), "charades_sta")
    assert (sample.id, sample.video, sample.task, sample.source) == ("sta-1", "a.mp4", "tvg", "charades_sta")
    assert sample.question == "When does this event happen: a person opens the door?"
    assert sample.answer == "The event happens in <evi>."
    assert [(e.start_s, e.end_s, e.caption) for e in sample.events] == [(1.5, 4.0, "a person opens the door")]


def test_the_sentence_may_hold_the_separator_and_the_video_spaces(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", "my clip 0 2##he writes ## on a wall")
    sample = only_sample(path, "charades_sta", videos=["my clip.mp4"])
    assert (sample.video, sample.events[0].caption) == ("my clip.mp4", "he writes ## on a wall")


def test_bom_windows_line_ends_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", b"\xef\xbb\xbf" + f"{LINE}\r\n\r\n  \r\n{LINE}\r\n".encode())
    samples, rejections = read_all(path, "charades_sta")
    assert [sample.id for sample in samples] == ["sta-1", "sta-4"] and not rejections
    assert samples[0].events == samples[1].events


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("a 4.0 1.5##reversed", "bad_interval", "event 1 ends at 1.5 s, before it starts at 4 s"),
        ("a 2 2##empty", "bad_interval", "starts and ends at 2 s"),
        ("a -1 2##early", "bad_interval", "before the video"),
        ("a 0 nan##nan", "not_finite", "[0.0, nan]"),
        ("a 0 inf##endless", "not_finite", "inf"),
        ("a 0 1e999##endless", "not_finite", "inf"),
        ("a 0 2 no separator", "malformed_line", "expected `VIDEO START END##sentence`"),
        ("a 0##one time", "malformed_line", "expected"),
        ("a x y##no times", "malformed_line", "'x y' are no times"),
        ("a 0 2##", "missing_field", "no sentence"),
        ("a 0 2## . ", "missing_field", "no sentence"),
        ("zzz 0 2##nobody", "missing_video", "no video 'zzz'"),
        ("../a 0 2##out", "outside_root", "leads out"),
        ("/etc/a 0 2##out", "outside_root", "absolute"),
        ("http://x/a 0 2##address", "bad_video_name", "address"),
        ("a 0 2##<evi> is a token", "invalid_record", "<evi>"),
    ],
)
def test_bad_lines_are_told_apart(tmp_path: Path, line: str, code: str, said: str) -> None:
    rejection = only_rejection(write_text(tmp_path / "sta.txt", line), "charades_sta")
    assert rejection.code == code and said in rejection.reason
    assert str(rejection).startswith(f"{tmp_path}/sta.txt:1: ")


def test_bytes_that_are_no_text_cost_their_line(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", LINE.encode() + b"\n\xff\xfe\x00\n" + LINE.encode())
    samples, rejections = read_all(path, "charades_sta")
    assert len(samples) == 2
    assert [(r.line, r.code) for r in rejections] == [(2, "malformed_line")]


def test_a_huge_line_costs_itself(tmp_path: Path) -> None:
    huge = b"a 0 1##" + b"x" * (17 << 20)
    path = write_text(tmp_path / "sta.txt", b"\n".join([LINE.encode(), huge, LINE.encode()]))
    samples, rejections = read_all(path, "charades_sta")
    assert len(samples) == 2
    assert [(r.line, r.code) for r in rejections] == [(2, "oversized_line")]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sta.txt"
    with path.open("wb") as stream:
        stream.truncate(2 << 20)
    with pytest.raises(UserError, match="max_file_mb=1"):
        read_all(path, "charades_sta", max_file_mb=1)


def test_wording_and_task_can_be_given(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", LINE)
    sample = only_sample(
        path, "charades_sta", task="tal", question="Find: {query}!", answer="Seen in {spans}.", dataset="door"
    )
    assert (sample.task, sample.source) == ("tal", "door")
    assert (sample.question, sample.answer) == ("Find: a person opens the door!", "Seen in <evi>.")


def test_a_task_without_wording_asks_for_one(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sta.txt", LINE)
    with pytest.raises(UserError, match=r"set data\.question"):
        read_all(path, "charades_sta", task="gvq")
