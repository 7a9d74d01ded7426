"""E.T. Bench (arXiv 2409.18111): questions with their truth as intervals, options and captions.

Fields as in PolyU-ChenLab/ETBench, docs/BENCHMARK.md (method.md §7.1); `<vid>`, `<evi>` and `txt` flavours.
What a model has answered (`a`, in files of predictions) is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, NamedRow, RowError, as_spans, drafted
from d2vlm_pipeline.annotations.files import list_entries
from d2vlm_pipeline.annotations.formats.stamps import VID, instant, take_times
from d2vlm_pipeline.annotations.wording import CAPTIONED, answered, captioned, chosen, plain
from d2vlm_pipeline.timeline import EVI, GROUNDED_TASKS, TASKS

ID = "etbench-"
"""What stands before the `idx` in the id of a sample."""

Times = tuple[tuple[float, float], ...] | tuple[float, ...]
Judged = tuple[tuple[tuple[float, float], ...], ...]
"""Intervals of a highlight by the person who marked them."""


class BenchRow(NamedRow):
    """One question. `src` and `tgt` are seconds, in pairs or flat; `p` is the index of the right option."""

    idx: str
    task: str
    source: str | None = None
    duration: float | None = None
    src: Times | None = None
    tgt: Times | Judged | None = None
    p: int | None = None
    o: tuple[tuple[float, float], ...] | tuple[str, ...] | None = None
    g: tuple[str, ...] | None = None
    q: str

    @property
    def sample_id(self) -> str:
        """The index behind the name of the set."""
        return ID + self.idx


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One question an entry; answers are worded here, since the format has none.

    Raises:
        UserError: no such file, too large, or no JSON list.
    """
    entries = list_entries(path, config.max_file_mb)
    return drafted(entries, BenchRow, lambda line, row: _draft(line, row, config))


def option_text(option: str | tuple[float, float]) -> str:
    """An option in words; intervals, of which ECA chooses one, as `5.2 - 21.4 seconds`."""
    return option if isinstance(option, str) else f"{option[0]!r} - {option[1]!r} seconds"


def _draft(line: int, row: BenchRow, config: ImportConfig) -> Draft:
    task = config.task or row.task
    if task not in TASKS:
        raise RowError("invalid_record", f"unknown task {task!r}")
    pairs, merged = _pairs(row.tgt or (), config.instant_s, row.duration)
    options = None if row.o is None else tuple(option_text(option) for option in row.o)
    question, queries, note = _question(row, config)
    captions = [plain(caption) for caption in row.g or ()]
    if captions and len(captions) != len(pairs):
        raise RowError("bad_count", f"{len(captions)} captions for {len(pairs)} intervals")
    if any(VID in option for option in options or ()):
        raise RowError("bad_count", f"an option has a {VID} that no time is given for")
    return Draft(
        line,
        row.video,
        task,
        question,
        _answer(task, len(pairs), captions, options, row.p, config),
        # Referring tasks are about an interval of the question; nothing in their answers points at one.
        as_spans(pairs, captions) if task in GROUNDED_TASKS else (),
        queries,
        options=options,
        answer_index=row.p if options else None,
        duration_s=row.duration,
        id=row.sample_id,
        source=row.source,
        note=merged or note,
    )


def _answer(
    task: str,
    events: int,
    captions: Sequence[str],
    options: Sequence[str] | None,
    right: int | None,
    config: ImportConfig,
) -> str:
    if task in CAPTIONED:
        if events and not captions:
            raise RowError("missing_field", "no captions (g)")
        return captioned(captions)
    # An index past the options is refused with the sample.
    choice = chosen(options, right) if options and right is not None and right in range(len(options)) else ""
    if task in GROUNDED_TASKS:
        return answered(task, events, config, choice)
    if not choice:
        raise RowError("missing_field", f"task {task} needs options (o) and the index of the right one (p)")
    return choice


def _question(row: BenchRow, config: ImportConfig) -> tuple[str, tuple[tuple[float, float], ...], str | None]:
    """The question, the intervals it points at, and a note where it says them in words."""
    flat = _flat(row.src or ())
    if flat and VID not in row.q and EVI not in row.q:
        return row.q.strip(), (), "query_times_in_words"
    question, queries = take_times(row.q.strip(), flat, config.instant_s, row.duration)
    return question, queries, None


def _pairs(
    times: Times | Judged, instant_s: float, duration_s: float | None
) -> tuple[tuple[tuple[float, float], ...], str | None]:
    """Intervals in pairs; a note where those of several people were put together."""
    if times and isinstance(times[0], tuple) and (not times[0] or isinstance(times[0][0], tuple)):
        return tuple(dict.fromkeys(pair for marked in times for pair in marked)), "judges_put_together"
    flat = _flat(cast(Times, times))
    if len(flat) == 1:
        return (instant(flat[0], instant_s, duration_s),), None
    if len(flat) % 2:
        raise RowError("bad_count", f"{len(flat)} times in tgt, which are no pairs")
    return tuple(zip(flat[::2], flat[1::2], strict=True)), None


def _flat(times: Times) -> list[float]:
    return [time for part in times for time in (part if isinstance(part, tuple) else (part,))]
