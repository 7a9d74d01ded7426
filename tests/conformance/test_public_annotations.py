"""Real annotation files: every row becomes a sample or a rejection, and the known ones are what they say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from conformance.public import public_file
from d2vlm_pipeline.annotations import ImportConfig, ImportedRow, VideoNames, import_rows
from d2vlm_pipeline.annotations.export import export_samples
from d2vlm_pipeline.timeline import Sample

FILES = {
    "charades_sta": ("charades_sta", "charades_sta_test.dev.txt"),
    "charades_timechat": ("charades_sta", "timechat_gt.json"),
    "charades_perturbed": ("charades_sta", "perturbed_gt.json"),
    "qvhighlights": ("moment_detr_qvhighlights", "highlight_val_release.jsonl"),
    "qvhighlights_subset": ("moment_detr_qvhighlights", "subset_gt.jsonl"),
    "qvhighlights_timechat": ("timechat_vhd", "gt.jsonl"),
    "activitynet_1": ("activitynet_dvc", "val_1.json"),
    "activitynet_2": ("activitynet_dvc", "val_2.json"),
    "youcook2": ("youcook2_dvc", "val.gt.json"),
    "etbench": ("etbench", "etbench_synthetic_pred.json"),
    "etbench_evi": ("etbench", "etbench_synthetic_pred.evi_format.json"),
}
FORMATS = {
    "charades_sta": "charades_sta",
    "charades_timechat": "caption_coco",
    "charades_perturbed": "caption_coco",
    "qvhighlights": "qvhighlights",
    "qvhighlights_subset": "qvhighlights",
    "qvhighlights_timechat": "qvhighlights",
    "activitynet_1": "activitynet",
    "activitynet_2": "activitynet",
    "youcook2": "caption_coco",
    "etbench": "etbench",
    "etbench_evi": "etbench",
}
# Rows of the file, samples, and rejections by code, counted with other tools (`wc -l`, `grep -c`).
COUNTS: dict[str, tuple[int, int, dict[str, int]]] = {
    "charades_sta": (1945, 1945, {}),
    "charades_timechat": (1945, 1945, {}),
    "charades_perturbed": (1945, 1945, {}),
    "qvhighlights": (1550, 1550, {}),
    "qvhighlights_subset": (300, 300, {}),
    "qvhighlights_timechat": (1550, 1550, {}),
    "activitynet_1": (120, 120, {}),
    "activitynet_2": (120, 120, {}),
    "youcook2": (215, 215, {}),
    "etbench": (640, 640, {}),
    "etbench_evi": (640, 640, {}),
}


class AllVideos(VideoNames):
    """A folder in which every video lies that anybody names."""

    def __init__(self) -> None:
        super().__init__(())

    def find(self, named: str) -> str:
        return named


def imported(name: str, **config: object) -> tuple[list[Sample], list[ImportedRow]]:
    path = public_file(*FILES[name])
    reading = ImportConfig.model_validate({"format": FORMATS[name], "split": "test-iid", **config})
    rows = list(import_rows(path, reading, AllVideos()))
    return [sample for _, sample in rows if sample is not None], [row for row, _ in rows]


@pytest.mark.parametrize("name", FILES)
def test_every_row_becomes_a_sample_or_a_rejection(name: str) -> None:
    samples, rows = imported(name)
    rejections = [row.rejection for row in rows if row.rejection is not None]
    codes = Counter(rejection.code for rejection in rejections)
    assert (len(rows), len(samples), dict(codes)) == COUNTS[name]
    assert len(samples) + len(rejections) == len(rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    assert all(rejection.reason and rejection.mend for rejection in rejections)


def test_charades_is_what_its_lines_say() -> None:
    samples, rows = imported("charades_sta")
    lines = public_file(*FILES["charades_sta"]).read_text(encoding="utf-8").splitlines()
    for row, sample in zip(rows, samples, strict=True):
        head, sentence = lines[row.line - 1].split("##")
        video, start_s, end_s = head.split()
        (event,) = sample.events
        assert (sample.video, event.start_s, event.end_s) == (video, float(start_s), float(end_s))
        assert event.caption in " ".join(sentence.split()) and event.caption in sample.question


def test_both_forms_of_charades_agree() -> None:
    """The same annotations as text and as TimeChat's JSON."""
    lines, entries = imported("charades_sta")[0], imported("charades_perturbed")[0]
    assert [sample.events for sample in lines] == [sample.events for sample in entries]
    assert [sample.question for sample in lines] == [sample.question for sample in entries]


def test_qvhighlights_keeps_every_window() -> None:
    samples, _ = imported("qvhighlights")
    text = public_file(*FILES["qvhighlights"]).read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    for record, sample in zip(records, samples, strict=True):
        windows = [[event.start_s, event.end_s] for event in sample.events]
        assert windows == record["relevant_windows"]
        assert sample.task == ("tvg" if len(windows) == 1 else "tal")
        assert sample.id == f"qvhighlights-{record['qid']}"


def test_youcook2_has_a_caption_for_every_segment() -> None:
    samples, rows = imported("youcook2")
    entries = json.loads(public_file(*FILES["youcook2"]).read_text(encoding="utf-8"))["annotations"]
    by_line = {row.line: row for row in rows}
    kept = [entry for line, entry in enumerate(entries, start=1) if by_line[line].sample_id is not None]
    for entry, sample in zip(kept, samples, strict=True):
        assert [[event.start_s, event.end_s] for event in sample.events] == entry["segments"]
        assert all(event.caption in entry["pure_cap"].replace("  ", " ") for event in sample.events)


@pytest.mark.parametrize("name", ["activitynet_1", "activitynet_2"])
def test_activitynet_one_sentence_at_a_time_loses_none(name: str) -> None:
    entries = json.loads(public_file(*FILES[name]).read_text(encoding="utf-8"))
    sentences = sum(len(entry["sentences"]) for entry in entries.values())
    samples, rows = imported(name, task="tvg")
    assert len(rows) == sentences
    assert len(samples) + sum(row.rejection is not None for row in rows) == sentences


def test_every_task_of_etbench_is_read() -> None:
    samples, _ = imported("etbench")
    # `grep -o '"task": "[a-z]*"' | sort | uniq -c`
    assert Counter(sample.task for sample in samples) == {
        "dvc": 16, "eca": 45, "epm": 60, "evs": 50, "gvq": 65, "rar": 45, "rvq": 45, "slc": 14,
        "tal": 80, "tem": 50, "tvg": 120, "vhd": 50,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["qvhighlights", "etbench"])
def test_what_was_read_is_written_and_read_again(name: str, tmp_path: Path) -> None:
    samples, rows = imported(name)
    durations = {
        sample.video: row.duration_s
        for row, sample in zip((row for row in rows if row.sample_id), samples, strict=True)
        if row.duration_s is not None
    }
    path = tmp_path / "again"
    format = FORMATS[name]
    assert format == "qvhighlights" or format == "etbench"
    report = export_samples(samples, durations, path, format)
    assert report.rows == len(samples) and not report.refused
    reading = ImportConfig(format=format, split="test-iid")
    again = [sample for _, sample in import_rows(path, reading, AllVideos())]
    assert again == samples
