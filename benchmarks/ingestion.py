"""Annotation rows ingested and validated: seconds and memory of a `kedro run` over a made-up data set.

    python -m benchmarks.ingestion [--rows 100000] [--videos 10000] [--json OUT]

A process of its own reads the rows (JSON lines, one to six captioned events each, one in a hundred of them
wrong), holds them against the video table, quarantines, and passes guards and gate: everything from the node
`read_annotations` on, start of Python, Great Expectations, Data Docs and MLflow included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from d2vlm_pipeline.orchestration import JsonLinesDataset
from d2vlm_pipeline.timeline import Event, Sample, dump_jsonl
from d2vlm_pipeline.video import VideoRow

ROOT = Path(__file__).parents[1]
REQUIRED = {"wall_s": 60.0, "cpu_s": 60.0, "peak_gb": 2.0}
DURATION_S = 60.0
WRONG_SHARE = 0.01
CAPTION = "a person opens the door of the fridge and takes out a bottle"


def video_rows(count: int, rng: Random) -> Iterator[VideoRow]:
    """Accepted videos that look like nothing else."""
    for number in range(count):
        yield VideoRow(
            video=name_of(number),
            path=f"/footage/{name_of(number)}",
            digest=f"{rng.getrandbits(256):064x}",
            duration_s=DURATION_S,
            fps_src=30.0,
            width=640,
            height=360,
            frames=1800,
            start_s=0.0,
            timebase_digest=f"{rng.getrandbits(256):064x}",
            fingerprint=tuple(f"{rng.getrandbits(256):064x}" for _ in range(8)),
            status="ok",
        )


def name_of(number: int) -> str:
    """File name of a made-up video."""
    return f"video-{number:05d}.mp4"


def samples(rows: int, videos: int, rng: Random) -> Iterator[Sample]:
    """Samples in turn over the videos: eight of ten in training."""
    for number in range(rows):
        video = number % videos
        count = 1 + number % 6
        starts = sorted(rng.uniform(0.0, DURATION_S - 6.0) for _ in range(count))
        events = [
            Event(start_s=round(s, 3), end_s=round(s + rng.uniform(1.0, 5.0), 3), caption=CAPTION)
            for s in starts
        ]
        yield Sample(
            id=f"sample-{number:06d}",
            video=name_of(video),
            task="dvc",
            source="made-up",
            split="train" if video % 10 < 8 else "val" if video % 10 == 8 else "test",
            question="Describe the events of the video and say when each of them happens.",
            events=tuple(events),
            answer=" ".join(f"<evi>, {event.caption}." for event in events),
        )


def spoiled(lines: Iterator[str], rng: Random) -> Iterator[str]:
    """Some of the lines wrong: cut off, or about a video that is not there."""
    for line in lines:
        if rng.random() >= WRONG_SHARE:
            yield line
        else:
            yield line[:60] + "\n" if rng.random() < 0.5 else line.replace("video-", "vidoe-")


def write_project(root: Path, rows: int, videos: int) -> None:
    """The project's configuration and suites, with a video table and an annotation file of these sizes."""
    for folder in ("conf", "great_expectations"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("local"))
    for folder in ("conf/local", "src"):
        (root / folder).mkdir()
    for file in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / file, root)
    rng = Random(0)
    table = JsonLinesDataset(
        filepath=str(root / "data/02_intermediate/videos.jsonl"), records="d2vlm_pipeline.video.VideoRow"
    )
    table.save(video_rows(videos, rng))
    imported = JsonLinesDataset(
        filepath=str(root / "data/02_intermediate/imported_rows.jsonl"),
        records="d2vlm_pipeline.annotations.ImportedRow",
    )
    imported.save([])
    raw = root / "data/01_raw/annotations.jsonl"
    raw.parent.mkdir(parents=True)
    with raw.open("w", encoding="utf-8") as stream:
        stream.writelines(spoiled((dump_jsonl([one]) for one in samples(rows, videos, rng)), rng))


def ingest(root: Path) -> dict[str, float]:
    """Run ingestion from the annotations on, in a process of its own: seconds and peak memory."""
    command = ["kedro", "run", "--pipelines", "ingestion", "--from-nodes", "read_annotations", "--force"]
    begun = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", *command],
        {**os.environ, "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", "PWD": str(root)},
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"ingestion ended with status {os.waitstatus_to_exitcode(status)}")
    return {
        "wall_s": time.perf_counter() - begun,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
    }


def counts(root: Path) -> dict[str, Any]:
    """What came of the rows, and of the expectations."""
    reports = root / "data/08_reporting"
    quarantine = json.loads((reports / "quarantine.json").read_text())
    outcomes = [json.loads(path.read_text()) for path in sorted((reports / "validation").glob("*.json"))]
    return {
        "rows": quarantine["rows_total"],
        "rejected": sum(quarantine["row_counts"].values()),
        "guarded_datasets": len(outcomes),
        "expectations": sum(len(outcome["checks"]) for outcome in outcomes),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_project(root, asked.rows, asked.videos)
        os.chdir(root)
        found = ingest(root)
        made = counts(root)
        os.chdir(ROOT)
    table = Table("figure", "measured", "required", title=f"{asked.rows:,} rows, {asked.videos:,} videos")
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}", f"under {REQUIRED[name]:g}")
    Console(width=80).print(table)
    print(", ".join(f"{name} {value}" for name, value in made.items()))
    if asked.json:
        asked.json.write_text(json.dumps({**found, **made}, indent=2) + "\n")


if __name__ == "__main__":
    main()
