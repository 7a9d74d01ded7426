"""Small files of every format, and what is read of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations import ImportConfig, Rejection, VideoNames, import_rows
from d2vlm_pipeline.timeline import Sample

VIDEOS = ("a.mp4", "b.mp4", "sub/c.mkv")


def write_text(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def write_json(path: Path, value: Any) -> Path:
    return write_text(path, json.dumps(value))


def read_all(
    path: Path, format_name: str, videos: Iterable[str] = VIDEOS, **config: Any
) -> tuple[list[Sample], list[Rejection]]:
    """Samples and rejections of a file; every row is one or the other."""
    reading = ImportConfig.model_validate({"format": format_name, "split": "train", **config})
    names = VideoNames(videos, reading.video_pattern)
    rows = list(import_rows(path, reading, names))
    samples = [sample for _, sample in rows if sample is not None]
    rejections = [row.rejection for row, _ in rows if row.rejection is not None]
    assert len(samples) + len(rejections) == len(rows)
    return samples, rejections


def only_sample(path: Path, format_name: str, **config: Any) -> Sample:
    samples, rejections = read_all(path, format_name, **config)
    assert not rejections, str(rejections[0])
    (sample,) = samples
    return sample


def only_rejection(path: Path, format_name: str, **config: Any) -> Rejection:
    samples, rejections = read_all(path, format_name, **config)
    assert not samples
    (rejection,) = rejections
    assert rejection.reason and rejection.mend and "\n" not in str(rejection)
    return rejection
