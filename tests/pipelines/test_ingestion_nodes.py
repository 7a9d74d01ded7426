"""The ingestion nodes as plain functions: whose footage, and what becomes of it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.annotations import DataConfig
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration import DirectoryDataset
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.ingestion.nodes import (
    probe_videos,
    provide_annotations,
    provide_clips,
    read_annotations,
)
from d2vlm_pipeline.timeline import SamplingPolicy, dump_jsonl
from d2vlm_pipeline.video import DecodeLimits
from d2vlm_pipeline.video.folder import ClipFolder
from d2vlm_pipeline.video.world import SplitSizes, WorldConfig
from video.clips import steady_ms, write_clip

ONE = ComputeConfig(workers=1, threads=1)
WORLD = WorldConfig(splits=SplitSizes(train=1, val=1, calib=1, test_iid=1), max_duration_s=17.0)


def world_clips(path: Path) -> DirectoryDataset:
    """The catalog's entry, elsewhere."""
    functions = {name: f"d2vlm_pipeline.video.folder.{name}_videos" for name in ("save", "load")}
    return DirectoryDataset(filepath=str(path), raw=True, **functions)


def footage(folder: Path) -> Path:
    folder.mkdir()
    write_clip(folder / "a.mp4", steady_ms(20))
    (folder / "b.mp4").write_text("not a video")
    (folder / "labels.txt").write_text("a 0 1##a ball rolls\nb 0 1##it stops\nc 0 1##gone\na 3 1##back\n")
    return folder


def ingested(data: DataConfig, place: Path) -> tuple[ClipFolder, list[Any], dict[str, Any]]:
    """The whole pipeline by hand."""
    dataset = world_clips(place)
    dataset.save(provide_clips(data, WORLD, ONE))
    clips = dataset.load()
    samples, rows = provide_annotations(data, WORLD, clips)
    raw = place.with_suffix(".jsonl")
    raw.write_text(dump_jsonl(samples))
    videos = probe_videos(clips, SamplingPolicy(), DecodeLimits(), ONE)
    return clips, *read_annotations(raw, videos, rows, data)


def test_a_folder_is_linked_and_everything_left_out_is_counted(tmp_path: Path) -> None:
    folder = footage(tmp_path / "footage")
    data = DataConfig(
        source="folder", videos=str(folder), annotations=f"{folder}/labels.txt", format="charades_sta"
    )
    clips, samples, quarantine = ingested(data, tmp_path / "world")
    assert clips.root == folder
    assert [sample.id for sample in samples] == ["labels-1"]
    assert quarantine["video_counts"] == {"not_a_video": 1}
    assert quarantine["row_counts"] == {"bad_interval": 1, "missing_video": 1, "quarantined_video": 1}
    assert {(row["file"], row["line"]) for row in quarantine["rows"]} == {
        (f"{folder}/labels.txt", line) for line in (2, 3, 4)
    }
    assert sorted(path.name for path in folder.iterdir()) == ["a.mp4", "b.mp4", "labels.txt"]


def test_an_archive_is_unpacked_and_its_slips_are_quarantined(tmp_path: Path) -> None:
    folder = footage(tmp_path / "footage")
    archive = tmp_path / "footage.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(folder / "a.mp4", "a.mp4")
        zipped.write(folder / "a.mp4", "../slip.mp4")
    data = DataConfig(
        source="folder", videos=str(archive), annotations=f"{folder}/labels.txt", format="charades_sta"
    )
    clips, samples, quarantine = ingested(data, tmp_path / "deep" / "world")
    assert clips.root == tmp_path / "deep" / "world"
    assert [sample.video for sample in samples] == ["a.mp4"]
    assert [(video["video"], video["reason"]) for video in quarantine["videos"]] == [
        ("../slip.mp4", "outside_root")
    ]
    assert not list(tmp_path.rglob("slip*"))


def test_the_demo_world_is_rendered_and_gives_way_to_a_folder(tmp_path: Path) -> None:
    place, folder = tmp_path / "world", footage(tmp_path / "footage")
    clips, samples, quarantine = ingested(DataConfig(), place)
    assert provide_annotations(DataConfig(), WORLD, clips)[1] == []
    assert len(clips.names) == 4 and clips.root == place
    assert {sample.video for sample in samples} == set(clips.names)
    assert quarantine == {
        "videos_total": 4,
        "rows_total": len(samples),
        "videos": [],
        "rows": [],
        "video_counts": {},
        "row_counts": {},
    }
    # The same place in the catalog: the project may write over what it made itself.
    data = DataConfig(
        source="folder", videos=str(folder), annotations=f"{folder}/labels.txt", format="charades_sta"
    )
    assert ingested(data, place)[0].root == folder
    assert not list(place.glob("*.mp4"))


def test_clips_that_people_put_there_are_not_written_over(tmp_path: Path) -> None:
    folder, mine = footage(tmp_path / "world"), footage(tmp_path / "mine")
    data = DataConfig(source="folder", videos=str(mine), annotations="x", format="charades_sta")
    with pytest.raises(UserError, match="not written over"):
        world_clips(folder).save(provide_clips(data, WORLD, ONE))
    assert (folder / "a.mp4").is_file()
