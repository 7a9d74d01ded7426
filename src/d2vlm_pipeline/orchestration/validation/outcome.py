"""What one run of a suite found: a record to keep, and the lines that people read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, canonical_json, write_text_atomic

Severity = Literal["error", "warning"]
DOCS = "docs"
"""Where Data Docs are, below a folder of results; they begin at index.html."""

_SHOWN_ROWS = 3


class Check(StrictModel):
    """One expectation and what became of it.

    Attributes:
        expectation: its type, with the columns it speaks of.
        severity: what a failure means: the end of the run, or a line in its summary.
        passed: whether it held.
        failed_rows: rows that did not hold; 0 also where the table as a whole is judged.
        seen: the first rows that failed, or what was seen instead.
        mend: what to do about it.
    """

    expectation: str
    columns: tuple[str, ...] = ()
    severity: Severity = "error"
    passed: bool
    failed_rows: int = Field(default=0, ge=0)
    seen: tuple[str, ...] = ()
    mend: str


class Outcome(StrictModel):
    """One guarded dataset: which suite ran over how many rows, and every check of it.

    Attributes:
        accepted: whether the dataset went through: no error, or its guard only warns.
    """

    dataset: str
    suite: str
    suite_digest: str
    rows: int = Field(ge=0)
    checks: tuple[Check, ...]

    def failed(self, severity: Severity | None = None) -> list[Check]:
        """Checks that did not hold, errors first."""
        found = [check for check in self.checks if not check.passed]
        return sorted(
            (check for check in found if severity in (None, check.severity)),
            key=lambda check: check.severity,
        )

    def line(self, check: Check) -> str:
        """The failure as one line: dataset, expectation, first rows, mend."""
        columns = f"({', '.join(check.columns)})" if check.columns else ""
        count = f"{check.failed_rows} of {self.rows} rows: " if check.failed_rows else ""
        more = "; …" if check.failed_rows > len(check.seen[:_SHOWN_ROWS]) else ""
        seen = "; ".join(check.seen[:_SHOWN_ROWS]) + more
        line = f"{self.dataset}: {check.expectation}{columns} does not hold: {count}{seen}; {check.mend}"
        return " ".join(line.split())

    def save(self, directory: Path) -> None:
        """Write `<dataset>.json` below the directory, whole or not at all."""
        write_text_atomic(_place(directory, self.dataset), canonical_json(self) + "\n")


def load_outcome(directory: Path, dataset: str) -> Outcome | None:
    """The last outcome of a dataset; None where no guard has run."""
    path = _place(directory, dataset)
    return Outcome.model_validate_json(path.read_bytes()) if path.is_file() else None


def outcome_changed_ns(directory: Path, dataset: str) -> int:
    """When the last outcome was written, in nanoseconds; 0 where there is none."""
    path = _place(directory, dataset)
    return path.stat().st_mtime_ns if path.is_file() else 0


def _place(directory: Path, dataset: str) -> Path:
    return directory / f"{dataset}.json"
