"""A benchmark of which every figure is known: a mean over queries, from JSON lines of id, video, value."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_lines, unique
from d2vlm_pipeline.evaluation.benchmarks.records import (
    Benchmark,
    Counts,
    Files,
    Measure,
    Protocol,
    Query,
    Scored,
    Trap,
)
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio

Rows = Sequence[tuple[str, str, float]]


def read(files: Files) -> list[Row]:
    return load_lines(files.predictions)


def score(rows: list[Row], without_zeros: bool) -> Scored:
    unique((row["id"].label, row) for row in rows)
    kept = [row for row in rows if row["value"].number or not without_zeros]
    stats_R2 = np.array([[row["value"].number, 1.0] for row in kept]).reshape(-1, 2)
    contribution = Contribution(tuple(row["video"].text for row in kept), stats_R2, ratio, 0)
    mean = Measure(("mean",), tuple(row["id"].label for row in kept), contribution)
    return Scored(
        metrics={"mean": 100.0 * contribution.total if kept else None},
        measures=(mean,),
        queries=tuple(_query(row) for row in rows),
        counts=Counts(len(rows), len(rows), 0, 0),
        headline=(("mean",),),
    )


def _query(row: Row) -> Query:
    truth = row["truth"].spans if row.has("truth") else ()
    duration_s = row["duration"].number if row.has("duration") else None
    group = row["group"].text if row.has("group") else ""
    answer = str(row["value"].number)
    return Query(row["id"].label, row["video"].text, "parsed", "", truth, (), answer, group, duration_s)


TOY: Benchmark[list[Row], bool] = Benchmark(
    name="toy",
    summary="a mean",
    read=read,
    score=score,
    protocols={"strict": Protocol(False, "all count"), "official": Protocol(True, "zeros are left out")},
    traps=(Trap(True, "zeros leave the mean", "official", 4),),
    truth="carried",
)


def written(path: Path, rows: Rows, **more: object) -> Path:
    """A file of predictions; `more` is added to every row."""
    lines = [{"id": name, "video": video, "value": value, **more} for name, video, value in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
