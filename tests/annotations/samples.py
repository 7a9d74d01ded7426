"""Sample records as JSON dictionaries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def tvg(sample_id: str = "s1", video: str = "a.mp4", end_s: float = 3.0, **changes: Any) -> dict[str, Any]:
    """One grounding sample whose event is [1, end_s)."""
    record = {
        "id": sample_id,
        "video": video,
        "task": "tvg",
        "source": "test",
        "split": "train",
        "question": "When does a red ball enter?",
        "query_intervals": [],
        "events": [{"start_s": 1.0, "end_s": end_s, "caption": "a red ball enters"}],
        "answer": "The event happens in <evi>.",
        "options": None,
        "answer_index": None,
    }
    return record | changes


def write_lines(path: Path, *lines: dict[str, Any] | str | bytes) -> Path:
    """A file of these lines; dictionaries become JSON."""
    with path.open("wb") as stream:
        for line in lines:
            text = json.dumps(line) if isinstance(line, dict) else line
            stream.write((text.encode() if isinstance(text, str) else text) + b"\n")
    return path
