"""Samples in formats that others read: E.T. Bench, QVHighlights, and our own JSON Lines.

The inverse of the readers as far as a format can hold a sample; what it cannot hold is counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.formats import etbench, qvhighlights
from d2vlm_pipeline.annotations.formats.own import draft_of
from d2vlm_pipeline.annotations.formats.stamps import VID
from d2vlm_pipeline.annotations.wording import CAPTIONED, answered, asked, captioned, chosen, plain
from d2vlm_pipeline.artifacts import write_text_atomic
from d2vlm_pipeline.timeline import EVI, GROUNDED_TASKS, REFERRING_TASKS, Sample, dump_jsonl
from d2vlm_pipeline.video.naming import stem_of

ExportFormat = Literal["samples", "etbench", "qvhighlights"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

BENCH_TASKS = ("rar", "eca", "rvq", "tvg", "epm", "tal", "evs", "vhd", "dvc", "slc", "tem", "gvq")
"""The tasks of E.T. Bench (method.md §7.1)."""
WINDOW_TASKS = ("tvg", "tal", "vhd", "evs", "epm")
"""Tasks that ask for the windows of one query."""
CLIP_S = 2.0
"""QVHighlights numbers clips of two seconds."""

_INTERVAL = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?) - (\d+(?:\.\d+)?(?:e-?\d+)?) seconds")
_DEFAULTS = ImportConfig()


@dataclass
class Exported:
    """What was written, and what was not.

    Attributes:
        rows: written.
        refused: samples that the format cannot hold, by reason.
        lost: what it cannot hold of samples that were written, by the field.
    """

    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def export_samples(
    samples: Iterable[Sample],
    durations: Mapping[str, float],
    path: Path,
    format: ExportFormat,
    only: Container[str] | None = None,
) -> Exported:
    """Write samples to a file of the format, whole or not at all.

    Args:
        samples: in the order of rows.
        durations: seconds of their videos, which both foreign formats ask for.
        path: the file.
        format: of the file.
        only: ids of those that are written; numbers are given to all, whichever are.
    """
    report = Exported()
    if format == "samples":
        lines = dump_jsonl(sample for sample in samples if only is None or sample.id in only)
        report.rows = lines.count("\n")
        write_text_atomic(path, lines)
        return report
    make, head = _MAKERS[format]
    samples, rows = list(samples), []
    numbers = numbers_of([sample.id for sample in samples], head)
    for sample, number in zip(samples, numbers, strict=True):
        if only is not None and sample.id not in only:
            continue
        duration_s = durations.get(sample.video)
        if duration_s is None:
            report.refused["no duration of its video"] += 1
        elif (row := make(sample, duration_s, number, report)) is not None:
            rows.append(row)
            report.lost["id"] += sample.id != f"{head}{number}"
            report.lost["split"] += 1
    report.rows, report.lost = len(rows), +report.lost
    texts = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    body = ",\n".join(texts)
    write_text_atomic(path, f"[{body}]\n" if format == "etbench" else "".join(f"{text}\n" for text in texts))
    return report


def bench_row(sample: Sample, duration_s: float, number: int, report: Exported) -> dict[str, Any] | None:
    """A sample as E.T. Bench writes it (`vid` flavour); None, counted, where it has no such task."""
    captions = [event.caption for event in sample.events]
    is_dense = sample.task in CAPTIONED
    if (reason := _no_bench_row(sample, captions)) is not None:
        report.refused[reason] += 1
        return None
    row: dict[str, Any] = {
        "version": 1.0,
        "idx": number,
        "task": sample.task,
        "source": sample.source,
        "video": sample.video,
        "duration": duration_s,
    }
    if sample.query_intervals:
        row["src"] = [time_s for pair in sample.query_intervals for time_s in pair]
    if sample.task in GROUNDED_TASKS:
        row["tgt"] = [[event.start_s, event.end_s] for event in sample.events]
    if sample.options is not None:
        row |= {"p": sample.answer_index, "o": _bench_options(sample.task, sample.options)}
    if is_dense:
        row["g"] = captions
    row["q"] = sample.question.replace(EVI, f"{VID} - {VID}")
    reworded = any(plain(text) != text for text in captions)
    report.lost["captions"] += reworded if is_dense else any(captions)
    report.lost["events"] += sample.task not in GROUNDED_TASKS and bool(sample.events)
    report.lost["answer"] += sample.answer != _bench_answer(sample)
    return row


def window_row(sample: Sample, duration_s: float, number: int, report: Exported) -> dict[str, Any] | None:
    """A sample as a query of QVHighlights, without saliency; None, counted, where it is none."""
    queries = {event.caption for event in sample.events}
    if sample.task not in WINDOW_TASKS:
        report.refused[f"task {sample.task} asks for no windows of a query"] += 1
        return None
    if len(queries) != 1 or not (query := queries.pop()):
        report.refused["no one description of what is looked for"] += 1
        return None
    windows = [[event.start_s, event.end_s] for event in sample.events]
    expected = "tvg" if len(windows) == 1 else "tal"
    report.lost["task"] += sample.task != expected
    report.lost["question"] += sample.question != asked(sample.task, query, _DEFAULTS)
    report.lost["answer"] += sample.answer != answered(sample.task, len(windows), _DEFAULTS)
    report.lost["source"] += sample.source != "qvhighlights"
    report.lost["captions"] += plain(query) != query
    return {
        "qid": number,
        "query": query,
        "duration": duration_s,
        "vid": stem_of(sample.video),
        "relevant_clip_ids": _clips(windows, duration_s),
        "relevant_windows": windows,
    }


_Maker = Callable[[Sample, float, int, Exported], dict[str, Any] | None]
_MAKERS: dict[str, tuple[_Maker, str]] = {
    "etbench": (bench_row, etbench.ID),
    "qvhighlights": (window_row, qvhighlights.ID),
}


def numbers_of(ids: Sequence[str], head: str) -> list[int]:
    """The numbers that a reader had put behind `head`; for ids from elsewhere, those that are free."""
    ours = [_number(name.removeprefix(head)) if name.startswith(head) else None for name in ids]
    taken = {number for number in ours if number is not None}
    free = (number for number in count() if number not in taken)
    return [next(free) if number is None else number for number in ours]


def _number(text: str) -> int | None:
    """The number that reads back as the same text."""
    is_number = text.isascii() and text.isdigit() and len(text) < 16
    return int(text) if is_number and str(int(text)) == text else None


def _no_bench_row(sample: Sample, captions: Sequence[str]) -> str | None:
    """Why E.T. Bench cannot hold a sample; None where it can."""
    if sample.task not in BENCH_TASKS:
        return f"E.T. Bench has no task {sample.task}"
    if VID in sample.question:
        return f"a question with {VID} in its words"
    if sample.task in REFERRING_TASKS and sample.options is None:
        return f"task {sample.task} without options"
    if sample.task in CAPTIONED and not all(captions):
        return "an event without caption"
    return None


def _bench_options(task: str, options: Sequence[str]) -> list[str] | list[list[float]]:
    """Options as they are, or, where ECA chooses among intervals, these as numbers."""
    found = [_INTERVAL.fullmatch(text) for text in options] if task == "eca" else []
    pairs = [(float(match[1]), float(match[2])) for match in found if match is not None]
    is_same = [etbench.option_text(pair) for pair in pairs] == list(options)
    return [list(pair) for pair in pairs] if is_same else list(options)


def _bench_answer(sample: Sample) -> str:
    """How the reader would word the answer."""
    draft = draft_of(sample, 0)
    if sample.task in CAPTIONED:
        return captioned([event.caption for event in draft.events])
    choice = ""
    if sample.options is not None and sample.answer_index is not None:
        choice = chosen(sample.options, sample.answer_index)
    if sample.task in GROUNDED_TASKS:
        return answered(sample.task, len(sample.events), _DEFAULTS, choice)
    return choice


def _clips(windows: Iterable[Iterable[float]], duration_s: float) -> list[int]:
    """Numbers of the two-second clips that begin within a window."""
    clips = int(duration_s // CLIP_S) + 1
    pairs = [tuple(window) for window in windows]
    return [clip for clip in range(clips) if any(start <= clip * CLIP_S < end for start, end in pairs)]
