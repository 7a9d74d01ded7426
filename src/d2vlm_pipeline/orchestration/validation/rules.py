"""What suites ask that no generic expectation can say: table in, truth of every row out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ORDERED_TASKS = ("tal", "evs", "dvc", "slc", "tvc")
"""Tasks whose answer lists events, in order of time: those that the operator `reorder` makes wrong.

Of the other grounded tasks the order carries no meaning (tvg, epm, vhd: a moment, or a set of them) or is
that of the reasoning (tem, gvq).
"""

TOLERANCE_S = 1e-3
"""Annotations are often rounded to milliseconds: as far past its clip an event may end."""


def evidence_in_order(table: pd.DataFrame, tasks: Collection[str] = ORDERED_TASKS) -> pd.Series[bool]:
    """task, least_step_s: no event starts before the one that stands before it, in the tasks named."""
    return ~table["task"].isin(list(tasks)) | ~(table["least_step_s"].astype(float) < 0.0)


def in_one_split(table: pd.DataFrame) -> pd.Series[bool]:
    """Two columns, footage and split: all rows of the same footage are in the same split."""
    footage, split = table.columns
    return table.groupby(footage, dropna=False)[split].transform("nunique") <= 1


def inside_video(table: pd.DataFrame, tolerance_s: float = TOLERANCE_S) -> pd.Series[bool]:
    """first_s, latest_s, duration_s: within [0, duration]; rows without any interval hold."""
    late = table["latest_s"].astype(float) > table["duration_s"].astype(float) + tolerance_s
    unknown = table["latest_s"].notna() & table["duration_s"].isna()
    return ~(late | unknown | (table["first_s"].astype(float) < 0.0))


def without_twin(table: pd.DataFrame) -> pd.Series[bool]:
    """split, twin, twin_split: no footage of another split looks the same."""
    return table["twin"].isna() | (table["twin_split"] == table["split"])


def sides_differ(table: pd.DataFrame) -> pd.Series[bool]:
    """chosen, rejected: a reader can tell them apart."""
    return table["chosen"] != table["rejected"]


def label_matches_edit(table: pd.DataFrame) -> pd.Series[bool]:
    """faults: the checker found none."""
    return table["faults"] == ""


def known_where_accepted(table: pd.DataFrame) -> pd.Series[bool]:
    """status, reason, digest, duration_s, frames: an accepted video has facts, a refused one a reason."""
    facts = table[["digest", "duration_s", "frames"]].notna().all(axis=1)
    accepted = table["status"] == "ok"
    return (accepted & facts & table["reason"].isna()) | (~accepted & table["reason"].notna())
