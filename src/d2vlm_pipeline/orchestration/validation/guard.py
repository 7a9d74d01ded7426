"""The `validator:` of a catalog entry that runs a suite of `great_expectations/` on the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.validation import CheckFailure, DataValidationError

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.validation.outcome import Check, Outcome
from d2vlm_pipeline.orchestration.validation.suite import read_suite


class GuardError(UserError, DataValidationError):
    """Data that a suite refuses: Kedro passes it on as it is, and it ends the run with its one line."""

    def __str__(self) -> str:
        return self.message


class SuiteGuard:
    """Runs a suite over a dataset and refuses what breaks it.

    In a catalog:

        samples:
          type: …
          validator:
            class: d2vlm_pipeline.orchestration.validation.SuiteGuard
            severity: error
            skip_load_after_save: true
            options:
              dataset: samples
              suite: {filepath: great_expectations/samples.json}
              results: {filepath: data/08_reporting/validation}

    `severity: warn` lets everything through and logs the line; within a suite that refuses, an expectation
    with `"severity": "warning"` does the same. Either way it is shown in the summary of the run. Kedro tells
    a validator nothing but the data, so `dataset` says again whose it is; both paths stand under a key that
    Kedro makes absolute. A guard works in whatever process or thread loads or saves its dataset.
    """

    def __init__(self, *, dataset: str, suite: dict[str, str], results: dict[str, str]) -> None:
        """Read the suite.

        Args:
            dataset: Name of the guarded dataset.
            suite: `filepath` of the suite.
            results: `filepath` of the folder for what was found, and for Data Docs.

        Raises:
            UserError: the suite is missing or malformed.
        """
        self._dataset = dataset
        self._suite = read_suite(Path(suite["filepath"]))
        self._results = Path(results["filepath"])

    def validate(self, data: Any) -> Any:
        """The data as it came (an iterator as a list), once the suite has been run over it.

        Of an optional dataset that nobody has made there is nothing to check.

        Raises:
            GuardError: a critical expectation does not hold.
        """
        from d2vlm_pipeline.orchestration.validation.engine import run_suite

        if data is None:
            return None
        records = data if isinstance(data, Sequence | Path) else list(data)
        outcome = run_suite(self._dataset, self._suite, self._suite.table_of(records), self._results)
        outcome.save(self._results)
        if errors := outcome.failed("error"):
            raise _refusal(outcome, errors)
        return records


def _refusal(outcome: Outcome, errors: Sequence[Check]) -> GuardError:
    more = f" (and {len(errors) - 1} more expectations)" if len(errors) > 1 else ""
    failures = [
        CheckFailure(
            message=outcome.line(check),
            check=check.expectation,
            column=", ".join(check.columns) or None,
            failure_count=max(1, check.failed_rows),
            failure_examples=list(check.seen),
        )
        for check in errors
    ]
    return GuardError(outcome.line(errors[0]) + more, failures=failures)
