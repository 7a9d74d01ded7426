"""`d2vlm data check` and `d2vlm data export`: the dry run says what ingestion does, before it does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from annotations.samples import tvg, write_lines
from d2vlm_pipeline.cli import main
from video.clips import steady_ms, truncate, write_clip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 2, 3 and 12 s, a copy of the first, half of it, and a text."""
    folder = tmp_path_factory.mktemp("footage")
    first = write_clip(folder / "a.mp4", steady_ms(20))
    write_clip(folder / "b.mp4", steady_ms(30))
    write_clip(folder / "long.mp4", steady_ms(120))
    shutil.copy(first, folder / "copy.mp4")
    truncate(first, 0.5, folder / "half.mp4")
    (folder / "text.mp4").write_text("not a video")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "check", *arguments])


def report_of(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = check(*arguments, "--json")
    assert result.exit_code in (0, 1), result.output
    record: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, record


def test_a_clean_manifest_exits_with_0(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "a.mp4", steady_ms(20))
    manifest = write_lines(folder / "samples.jsonl", tvg("1", end_s=1.5))
    code, report = report_of(str(manifest))
    assert (code, report["clean"]) == (0, True)
    assert report["samples"] == {"train": {"tvg": 1}}
    assert "nothing would be left out" in check(str(manifest)).stdout


def test_everything_that_is_wrong_is_told_at_once(project: Path, footage: Path) -> None:
    rows = [tvg("1", end_s=1.5), tvg("2", "b.mp4", end_s=9.0), tvg("3", "half.mp4"), tvg("4", "gone.mp4")]
    manifest = write_lines(project / "samples.jsonl", *rows, tvg("1"), "{", tvg("5", "../x.mp4"))
    code, report = report_of(str(manifest), "--videos", str(footage))
    assert code == 1
    quarantine = report["quarantine"]
    assert quarantine["row_counts"] == {
        "duplicate_id": 1,
        "event_past_end": 1,
        "malformed_line": 1,
        "missing_video": 1,
        "outside_root": 1,
        "quarantined_video": 1,
    }
    assert [row["line"] for row in quarantine["rows"]] == [4, 5, 6, 7, 2, 3]
    assert {row["file"] for row in quarantine["rows"]} == {str(manifest)}
    assert quarantine["video_counts"] == {"not_a_video": 1, "truncated": 1}
    assert report["copies"] == [["a.mp4", "copy.mp4"]]
    assert report["unused"] == ["b.mp4", "copy.mp4", "long.mp4"]
    shown = check(str(manifest), "--videos", str(footage)).stdout
    unfolded = "".join(shown.split())  # a long path is folded, wherever it has to be
    for expected in ("a.mp4 = copy.mp4", "refused: truncated", f"{manifest}:2: event ends at 9 s but b.mp4"):
        assert expected.replace(" ", "") in unfolded
    assert "2 videos and 6 rows would be left out" in shown


def test_what_a_run_takes_follows_from_clips_and_encoder(project: Path, footage: Path) -> None:
    from d2vlm_pipeline.features import EfficientNetConfig, build_encoder

    rows = [tvg("1", end_s=1.5), tvg("2", "a.mp4", end_s=1.5), tvg("3", "long.mp4", end_s=1.5)]
    manifest = write_lines(project / "samples.jsonl", *rows)
    _, report = report_of(str(manifest), "--videos", str(footage))
    needs = report["needs"]
    # Two frames a second: 2 s and 12 s.
    assert (needs["clips"], needs["frames"], needs["most_frames"]) == (2, 4 + 24, 24)
    tokens, channels = build_encoder(EfficientNetConfig()).shape_NC
    assert needs["feature_bytes"] == 28 * tokens * channels * 2
    assert needs["video_tokens"] == 28 and needs["thinned"] == 0
    assert set(needs["gpu_bytes"]) == {"sft", "fpo"} and min(needs["gpu_bytes"].values()) > 10**8


def test_a_longer_clip_takes_more_memory(project: Path, footage: Path) -> None:
    sizes = []
    for name in ("a.mp4", "long.mp4"):
        manifest = write_lines(project / "samples.jsonl", tvg("1", name, end_s=1.5))
        sizes.append(report_of(str(manifest), "--videos", str(footage))[1]["needs"]["gpu_bytes"]["sft"])
    assert sizes[0] < sizes[1]


def test_a_clip_that_is_too_long_is_told_before_the_run(project: Path, footage: Path) -> None:
    (project / "conf" / "local" / "parameters.yml").write_text("decode_limits: {max_duration_s: 5}\n")
    manifest = write_lines(project / "samples.jsonl", tvg("1", "long.mp4", end_s=1.5))
    _, report = report_of(str(manifest), "--videos", str(footage))
    assert report["quarantine"]["video_counts"]["too_long"] == 1
    assert report["needs"] is None
    assert "nothing is usable" in check(str(manifest), "--videos", str(footage)).stdout


def test_without_arguments_it_checks_what_the_environment_names(project: Path, footage: Path) -> None:
    labels = project / "labels.txt"
    labels.write_text("a 0 1.5##a ball rolls\nb 0 2##a ball stops\n")
    (project / "conf" / "local" / "parameters.yml").write_text(
        f"data: {{source: folder, videos: {footage}, annotations: labels.txt, format: charades_sta}}\n"
    )
    _, report = report_of()
    assert report["files"] == ["labels.txt"] and report["quarantine"]["rows"] == []
    assert sum(count for tasks in report["samples"].values() for count in tasks.values()) == 2


def test_archives_of_videos_and_annotations(project: Path, footage: Path) -> None:
    import zipfile

    archive = project / "all.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(footage / "a.mp4", "clips/a.mp4")
        zipped.write(footage / "a.mp4", "../out.mp4")
        zipped.writestr("labels.txt", "clips/a 0 1.5##a ball rolls\nb 0 1##it stops\n")
    code, report = report_of(
        f"{archive}::labels.txt", "--format", "charades_sta", "--videos", str(archive)
    )
    assert code == 1 and report["samples"] == {"train": {"tvg": 1}}
    assert [row["file"] for row in report["quarantine"]["rows"]] == [f"{archive}::labels.txt"]
    assert report["quarantine"]["video_counts"] == {"outside_root": 1}
    assert not list(project.rglob("out*"))


def test_names_cannot_write_into_the_report(project: Path, footage: Path) -> None:
    folder = project / "clips"
    folder.mkdir()
    for name in ("[red]a", "[/]", "[link=x]b"):
        shutil.copy(footage / "a.mp4", folder / f"{name}.mp4".replace("/", ""))
    labels = project / "labels.txt"
    labels.write_text("[red]a 0 1.5##a [bold]ball[/bold] rolls\n[/red] 0 1##it stops\n")
    result = check(str(labels), "--format", "charades_sta", "--videos", str(folder))
    assert result.exit_code == 1, result.output
    assert "[red]a.mp4" in result.stdout and "'[/red]'" in result.stdout


def test_the_same_footage_in_two_splits_is_told_where_frames_are_decoded(project: Path) -> None:
    from d2vlm_pipeline.video.world import render_clip
    from video.world.scenes import event, scene

    folder = project / "clips"
    folder.mkdir()
    clip = scene(event())
    (folder / "a.mp4").write_bytes(render_clip(clip))
    (folder / "b.mp4").write_bytes(render_clip(clip.model_copy(update={"crf": clip.crf + 6})))
    rows = [tvg("1", end_s=1.5), tvg("2", "b.mp4", end_s=1.5, split="test-iid")]
    manifest = write_lines(folder / "samples.jsonl", *rows)
    assert report_of(str(manifest))[1]["near_duplicates"] == []
    code, report = report_of(str(manifest), "--decode")
    found = [(row["video"], row["split"], row["twin"]) for row in report["near_duplicates"]]
    assert code == 1 and ("b.mp4", "test-iid", "a.mp4") in found
    assert "ingestion would stop" in check(str(manifest), "--decode").stdout


def test_damage_behind_the_first_frame_needs_decoding(project: Path, tmp_path: Path) -> None:
    from video.clips import damaged

    folder = tmp_path / "clips"
    folder.mkdir()
    whole = write_clip(tmp_path / "whole.mp4", steady_ms(60))
    damaged(whole, folder / "a.mp4")
    manifest = write_lines(folder / "samples.jsonl", tvg("1", end_s=1.5))
    shallow, deep = report_of(str(manifest))[1], report_of(str(manifest), "--decode")[1]
    assert shallow["quarantine"]["video_counts"] == {}
    assert deep["quarantine"]["video_counts"] == {"undecodable": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to check: name a MANIFEST"),
        (["none.jsonl"], "no such file"),
        (["labels.txt", "--format", "csv"], "no format 'csv'; use one of samples"),
        (["labels.txt", "--videos", "nowhere"], "no such folder"),
        (["labels.txt", "--env", "nowhere"], "no environment 'nowhere'"),
        (["labels.txt", "--format", "etbench"], "not JSON"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_exits_with_2(
    project: Path, footage: Path, arguments: list[str], said: str
) -> None:
    shutil.copy(footage / "a.mp4", project)
    (project / "labels.txt").write_text("a 0 1##x\n")
    result = check(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line]
    assert said in line


def test_export_writes_the_samples_and_counts_what_is_lost(project: Path) -> None:
    from d2vlm_pipeline.orchestration import JsonLinesDataset
    from d2vlm_pipeline.timeline import Sample
    from d2vlm_pipeline.video import VideoRow

    samples = [Sample.model_validate(tvg("1")), Sample.model_validate(tvg("2", "b.mp4"))]
    rows = [VideoRow(video="a.mp4", path="/a.mp4", digest="d", duration_s=9.0, status="ok")]
    for name, records, model in (
        ("03_primary/samples.jsonl", samples, "d2vlm_pipeline.timeline.Sample"),
        ("02_intermediate/videos.jsonl", rows, "d2vlm_pipeline.video.VideoRow"),
    ):
        JsonLinesDataset(filepath=str(project / "data" / name), records=model).save(records)
    result = CliRunner().invoke(main, ["data", "export", "out.json", "--format", "etbench"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "out.json: 1 written, of 2 samples",
        "  left out: 1 (no duration of its video)",
        "  without their captions: 1",
        "  without their id: 1",
        "  without their split: 1",
    ]
    assert json.loads((project / "out.json").read_text())[0]["tgt"] == [[1.0, 3.0]]
