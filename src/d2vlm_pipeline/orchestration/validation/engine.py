"""Great Expectations, run over one table, and its results as records of our own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.orchestration.validation.outcome import Check, Outcome
from d2vlm_pipeline.orchestration.validation.suite import ExpectationEntry, Suite

if TYPE_CHECKING:
    import pandas as pd

# A context of Great Expectations is global to its process: threads take turns.
_TURN = threading.Lock()


def run_suite(dataset: str, suite: Suite, table: pd.DataFrame, results: Path) -> Outcome:
    """Run a suite over a table, and bring the Data Docs below `results` up to date."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # on by default where a version has telemetry
    with _TURN:
        from d2vlm_pipeline.orchestration.validation.data_docs import validate_and_publish

        found = validate_and_publish(dataset, suite, table, results)
    checks = [_check(entry, result, suite) for entry, result in zip(suite.expectations, found, strict=True)]
    return Outcome(
        dataset=dataset, suite=suite.name, suite_digest=suite.digest, rows=len(table), checks=tuple(checks)
    )


def _check(entry: ExpectationEntry, result: Mapping[str, Any], suite: Suite) -> Check:
    """One result of Great Expectations: `success`, `result` (figures and rows), `exception_info`."""
    columns = tuple(entry.kwargs.get("column_list") or filter(None, [entry.kwargs.get("column")]))
    figures = result["result"]
    rows = figures.get("partial_unexpected_index_list") or []
    seen = [_row(row, (*suite.meta.rows, *columns)) for row in rows]
    if not seen and not result["success"]:
        raised = list(_raised(result["exception_info"]))
        seen = raised or [f"found {figures.get('observed_value', figures.get('partial_unexpected_list'))}"]
    return Check(
        expectation=entry.type,
        columns=columns,
        severity="error" if entry.severity == "critical" else "warning",
        passed=result["success"],
        failed_rows=figures.get("unexpected_count", 0) or 0,
        seen=tuple(seen) if not result["success"] else (),
        mend=entry.meta.mend,
    )


def _row(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """What names a row and what is wrong with it, in the suite's order: `id=s1, least_step_s=-2`."""
    shown = {name: row[name] for name in columns if name in row}
    return ", ".join(f"{name}={_short(value)}" for name, value in shown.items())


def _short(value: object, limit: int = 80) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _raised(info: Mapping[str, Any]) -> Iterator[str]:
    """Messages of what was raised: of the expectation itself, or of each of its metrics."""
    for one in [info] if "raised_exception" in info else info.values():
        if one["raised_exception"]:
            yield _short(" ".join(str(one["exception_message"]).split()), limit=200)
