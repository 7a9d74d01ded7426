"""Records as tables, one row each, with the columns that suites speak of.

A column is here because an expectation needs it, or because it names the row in a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from d2vlm_pipeline.annotations.footage import FootageCheck
from d2vlm_pipeline.preferences.pair_checks import PairCheck
from d2vlm_pipeline.timeline import GroundedResponse, LineError, PreferencePair, Sample, scan_jsonl
from d2vlm_pipeline.video import VideoRow

if TYPE_CHECKING:
    import pandas as pd


class _Row(BaseModel):
    """The keys of an annotation row without which it is of no use; the others are read later."""

    model_config = ConfigDict(extra="ignore")

    id: str
    video: str
    task: str
    split: str


def annotations_table(records: Path | Iterable[Sample]) -> pd.DataFrame:
    """line, readable, id, video, task, split of an annotation file, or of the samples that will be one."""
    columns = ("line", "readable", "id", "video", "task", "split")
    if isinstance(records, Path):
        return _table(
            columns,
            (
                (line, False, None, None, None, None)
                if isinstance(row, LineError)
                else (line, True, row.id, row.video, row.task, row.split)
                for line, row in scan_jsonl(records, _Row)
            ),
        )
    lines = enumerate(records, start=1)
    return _table(columns, ((line, True, s.id, s.video, s.task, s.split) for line, s in lines))


def videos_table(records: Iterable[VideoRow]) -> pd.DataFrame:
    """The facts of each video; `accepted` is its name where it was accepted."""
    columns = ("video", "status", "reason", "accepted", "digest", "duration_s", "frames", "detail")
    return _table(
        columns,
        (
            (
                row.video,
                row.status,
                row.reason,
                row.video if row.status == "ok" else None,
                row.digest,
                row.duration_s,
                row.frames,
                row.detail,
            )
            for row in records
        ),
    )


def samples_table(records: Iterable[Sample]) -> pd.DataFrame:
    """Samples; `least_step_s` is the smallest step from one event's start to the next one's in the answer."""
    columns = ("id", "video", "task", "split", "first_s", "least_step_s")
    return _table(
        columns, ((s.id, s.video, s.task, s.split, _first_s(s), _least_step_s(s)) for s in records)
    )


def footage_table(records: Iterable[FootageCheck]) -> pd.DataFrame:
    """Samples beside their footage, a row for each video and split."""
    return _table(tuple(FootageCheck.model_fields), (tuple(dict(row).values()) for row in records))


def pairs_table(records: Iterable[PreferencePair]) -> pd.DataFrame:
    """Pairs; `chosen` and `rejected` are what a reader is shown, with times to the millisecond."""
    columns = ("id", "sample_id", "operator", "axis", "operator_version", "chosen", "rejected")
    return _table(
        columns,
        (
            (
                pair.id,
                pair.sample_id,
                "+".join(factor.operator for factor in pair.factors),
                "+".join(factor.axis for factor in pair.factors),
                pair.operator_version,
                _shown(pair.chosen),
                _shown(pair.rejected),
            )
            for pair in records
        ),
    )


def pair_checks_table(records: Iterable[PairCheck]) -> pd.DataFrame:
    """What the checker said of each pair."""
    return _table(tuple(PairCheck.model_fields), (tuple(dict(row).values()) for row in records))




def _table(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_records(list(rows), columns=list(columns))


def _first_s(sample: Sample) -> float | None:
    return min((event.start_s for event in sample.events), default=None)


def _least_step_s(sample: Sample) -> float | None:
    return min((after.start_s - before.start_s for before, after in pairwise(sample.events)), default=None)


def _shown(response: GroundedResponse) -> str:
    times = " ".join(f"{interval.start_s:.3f}-{interval.end_s:.3f}" for interval in response.evidence)
    return f"{response.render()} [{times}]"
