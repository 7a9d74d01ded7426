import os
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import digest_file
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table, decode_frames
from video.clips import FASTSTART, damaged, steady_ms, truncate, write_clip

POLICY = SamplingPolicy()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    (root / "deep").mkdir()
    write_clip(root / "b.mp4", steady_ms(30, start_ms=500), container=FASTSTART)
    write_clip(root / "deep" / "a.mp4", steady_ms(20), size=(96, 64))
    truncate(root / "b.mp4", 0.6, root / "cut.mp4")
    (root / "text.mp4").write_text("text" * 100)
    os.mkfifo(root / "pipe.mp4")
    (root / "link.mp4").symlink_to(__file__)
    return root


NAMES = [
    "text.mp4",
    "b.mp4",
    "cut.mp4",
    "none.mp4",
    "deep/a.mp4",
    "pipe.mp4",
    "link.mp4",
    "b.mp4",
    "http://x/y",
]
REASONS = {
    "b.mp4": "duplicate_name",
    "cut.mp4": "truncated",
    "http://x/y": "bad_name",
    "link.mp4": "outside_root",
    "none.mp4": "missing",
    "pipe.mp4": "not_a_file",
    "text.mp4": "not_a_video",
}


def table(root: Path, names: list[str], workers: int = 1) -> list[VideoRow]:
    return list(build_video_table(root, names, DecodeLimits(), POLICY, workers))


def test_good_videos_are_accepted_with_their_facts(root: Path) -> None:
    rows = {row.video: row for row in table(root, ["b.mp4", "deep/a.mp4"])}
    row = rows["b.mp4"]
    assert (row.status, row.reason, row.detail) == ("ok", None, "")
    assert Path(row.path) == root / "b.mp4"
    assert row.digest == digest_file(root / "b.mp4")
    assert (row.width, row.height, row.frames, row.start_s, row.fps_src) == (64, 48, 30, 0.5, 10.0)
    assert row.duration_s == pytest.approx(3.0)
    assert row.timebase_digest == decode_frames(row.path, POLICY, 16, DecodeLimits())[1].digest
    assert (rows["deep/a.mp4"].width, rows["deep/a.mp4"].height) == (96, 64)


def test_bad_videos_are_quarantined_by_reason_and_the_rest_goes_on(root: Path) -> None:
    rows = table(root, NAMES, workers=2)
    assert [row.video for row in rows] == sorted(NAMES)
    assert {row.video for row in rows if row.status == "ok"} == {"b.mp4", "deep/a.mp4"}
    refused = [row for row in rows if row.status == "quarantined"]
    assert {row.video: row.reason for row in refused} == REASONS
    for row in refused:
        assert row.digest is None and row.duration_s is None
        assert "; " in row.detail and row.detail.isprintable()


def test_neither_order_nor_workers_show(root: Path) -> None:
    assert table(root, NAMES, workers=2) == table(root, NAMES[::-1], workers=1)


def test_a_video_that_fails_half_way_is_found_here_unless_told_otherwise(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", steady_ms(60), container=FASTSTART)
    damaged(whole, tmp_path / "bad.mp4")
    good, bad = "whole.mp4", "bad.mp4"
    assert {row.video: row.reason for row in table(tmp_path, [good, bad])} == {good: None, bad: "undecodable"}
    rows = build_video_table(tmp_path, [good, bad], DecodeLimits(), POLICY, 1, verify=False)
    assert {row.status for row in rows} == {"ok"}


def test_an_empty_table_starts_no_worker(root: Path) -> None:
    assert table(root, []) == []
