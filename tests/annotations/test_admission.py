"""Imported samples against their videos: told at the row that people wrote."""

from pathlib import Path
from typing import Any

import pytest

from annotations.reading import write_text
from d2vlm_pipeline.annotations import (
    DataConfig,
    ImportConfig,
    QuarantineReport,
    admit_samples,
    drawn_split,
    import_folder,
)
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import Sample, dump_jsonl
from d2vlm_pipeline.video import VideoRow


def video(name: str, duration_s: float, digest: str = "", **fields: Any) -> VideoRow:
    return VideoRow(
        video=name, path=f"/v/{name}", digest=digest or name, duration_s=duration_s, status="ok", **fields
    )


VIDEOS = [video("a.mp4", 10.0), video("b.mp4", 20.0)]


def admitted(
    tmp_path: Path, text: str | dict[str, str], videos: list[VideoRow] | None = None, **config: Any
) -> tuple[list[Sample], QuarantineReport]:
    """Import a Charades file, or one for each split, and admit what came out."""
    files = text if isinstance(text, dict) else {"": text}
    paths = {split: str(write_text(tmp_path / f"{split}x.txt", content)) for split, content in files.items()}
    data = DataConfig.model_validate(
        {
            "source": "folder",
            "videos": "v",
            "annotations": paths if isinstance(text, dict) else paths[""],
            "format": "charades_sta",
            **config,
        }
    )
    rows = videos or VIDEOS
    found = list(import_folder(data, [row.video for row in rows]))
    raw = tmp_path / "raw.jsonl"
    raw.write_text(dump_jsonl(sample for _, sample in found if sample is not None))
    return admit_samples(raw, rows, [row for row, _ in found], data)


def test_a_late_event_is_told_at_the_row_of_the_user_s_file(tmp_path: Path) -> None:
    samples, report = admitted(tmp_path, "a 0 9##one\n\n\na 0 99##two\n")
    assert [sample.id for sample in samples] == ["x-1"]
    (row,) = report.rows
    assert (row.file, row.line, row.code) == (f"{tmp_path}/x.txt", 4, "event_past_end")
    assert report.rows_total == 2


@pytest.mark.parametrize(("end_s", "kept"), [(10.0, 10.0), (10.4, 10.0), (10.5, 10.0), (10.6, None)])
def test_a_small_overrun_is_cut_and_counted(tmp_path: Path, end_s: float, kept: float | None) -> None:
    samples, report = admitted(tmp_path, f"a 0 {end_s}##one")
    assert [sample.events[0].end_s for sample in samples] == ([] if kept is None else [kept])
    assert report.adjusted == ({"cut_at_end": 1} if 10.0 < end_s <= 10.5 else {})
    assert ("adjusted" in report.record()) == bool(report.adjusted)


def test_an_event_behind_the_end_is_not_cut_to_nothing(tmp_path: Path) -> None:
    samples, report = admitted(tmp_path, "a 10.1 10.3##one")
    assert samples == [] and report.row_counts == {"event_past_end": 1}


def test_quarantined_videos_are_told_from_missing_ones(tmp_path: Path) -> None:
    broken = VideoRow(video="c.mp4", path="/v/c.mp4", status="quarantined", reason="truncated")
    _, report = admitted(tmp_path, "c 0 1##x\nd 0 1##y", [*VIDEOS, broken])
    assert report.row_counts == {"missing_video": 1, "quarantined_video": 1}
    assert {row.line for row in report.rows} == {1, 2}


def test_one_file_a_split_and_ids_that_do_not_clash(tmp_path: Path) -> None:
    samples, report = admitted(tmp_path, {"train": "a 0 1##x", "test-iid": "b 0 1##y\na 1 2##z"})
    splits = [(sample.id, sample.split) for sample in samples]
    assert splits == [("trainx-1", "train"), ("test-iidx-1", "test-iid")]
    (leak,) = report.rows
    assert (leak.code, leak.file, leak.line) == ("split_leak", f"{tmp_path}/test-iidx.txt", 2)


def test_files_of_one_name_in_several_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    samples, report = admitted(tmp_path, {"one/": "a 0 1##x", "two/": "b 0 1##y"})
    assert [sample.id for sample in samples] == ["one/-x-1", "two/-x-1"] and not report.rows


def test_a_copy_in_another_split_is_a_leak(tmp_path: Path) -> None:
    videos = [video("a.mp4", 10.0, "same"), video("b.mp4", 10.0, "same")]
    _, report = admitted(tmp_path, {"train": "a 0 1##x", "test-iid": "b 0 1##y"}, videos)
    assert report.row_counts == {"split_leak": 1}


@pytest.mark.parametrize(("gap_s", "kept"), [(5.0, 0), (100.0, 1), (None, 1)])
def test_a_row_about_another_cut_is_left_out(tmp_path: Path, gap_s: float | None, kept: int) -> None:
    text = '{"a": {"duration": 60, "timestamps": [[0, 1]], "sentences": ["x"]}}'
    samples, report = admitted(tmp_path, text, format="activitynet", duration_gap_s=gap_s)
    assert len(samples) == kept
    assert [row.code for row in report.rows] == ["duration_differs"] * (1 - kept)


def test_splits_are_drawn_by_name_and_hold_their_shares() -> None:
    shares = ImportConfig().splits
    drawn = [drawn_split(f"video-{number}.mp4", shares, seed=0) for number in range(4000)]
    for split, share in shares.items():
        assert drawn.count(split) / len(drawn) == pytest.approx(share, abs=0.02)
    assert drawn == [drawn_split(f"video-{number}.mp4", shares, seed=0) for number in range(4000)]
    assert drawn != [drawn_split(f"video-{number}.mp4", shares, seed=1) for number in range(4000)]
    assert {drawn_split(f"{number}", {"train": 1.0, "val": 0.0}, 0) for number in range(100)} == {"train"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"source": "folder"}, "needs videos"),
        ({"splits": {"train": 0.5}}, "must add up to 1"),
        ({"task": "sing"}, "no task 'sing'"),
        ({"question": "Is {it}?"}, "no placeholder {it}"),
        ({"video_pattern": "{0}.mp4"}, "no placeholder {0}"),
        ({"format": "csv"}, "charades_sta"),
        ({"vidoes": "x"}, "Extra inputs"),
    ],
)
def test_a_wrong_parameter_says_what_is_right(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        DataConfig.model_validate(config)
    assert said in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    data = DataConfig(source="folder", videos="v", annotations=str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="no such file"):
        list(import_folder(data, ["a.mp4"]))


def test_samples_are_in_one_order_whatever_that_of_the_rows(tmp_path: Path) -> None:
    samples, _ = admitted(tmp_path, "b 0 9##one\na 5 9##two\na 0 9##three\n")
    assert [(sample.video, sample.id) for sample in samples] == [
        ("a.mp4", "x-2"),
        ("a.mp4", "x-3"),
        ("b.mp4", "x-1"),
    ]
