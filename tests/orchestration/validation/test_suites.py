"""Every expectation of every suite holds on sound data and fails on data that is wrong in just that way."""

from pathlib import Path

import pandas as pd
import pytest

from d2vlm_pipeline.orchestration.validation import Check, Outcome
from d2vlm_pipeline.orchestration.validation.suite import ExpectationEntry, Suite, read_suite
from d2vlm_pipeline.timeline import TASKS
from orchestration.validation.cases import BREAKS, RECORDS, SUITES

NAMES = sorted(path.stem for path in SUITES.glob("*.json"))


def suite(name: str) -> Suite:
    return read_suite(SUITES / f"{name}.json")


def columns(entry: ExpectationEntry) -> str:
    return ", ".join(entry.kwargs.get("column_list", filter(None, [entry.kwargs.get("column")])))


def keys(name: str) -> dict[tuple[str, str, str], ExpectationEntry]:
    """Expectations by suite, name and columns; one that need not hold everywhere says so."""
    entries = suite(name).expectations
    found = {
        (name, entry.type, columns(entry) + (" (most)" if "mostly" in entry.kwargs else "")): entry
        for entry in entries
    }
    assert len(found) == len(entries)
    return found


def run(asked: Suite, data: pd.DataFrame, tmp_path: Path) -> Outcome:
    from d2vlm_pipeline.orchestration.validation.engine import run_suite

    return run_suite(asked.name, asked, data, tmp_path)


def test_every_expectation_has_its_fixtures() -> None:
    assert {key for name in NAMES for key in keys(name)} == set(BREAKS)
    assert set(RECORDS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sound_data_passes(name: str, tmp_path: Path) -> None:
    asked = suite(name)
    outcome = run(asked, asked.table_of(RECORDS[name]), tmp_path)
    assert outcome.rows > 0
    assert [outcome.line(check) for check in outcome.failed()] == []
    assert len(outcome.checks) == len(asked.expectations)


@pytest.mark.parametrize("key", BREAKS, ids=" ".join)
def test_what_is_wrong_is_found(key: tuple[str, str, str], tmp_path: Path) -> None:
    name, expectation, place = key
    entry = keys(name)[key]
    alone = suite(name).model_copy(update={"expectations": (entry,)})
    outcome = run(alone, BREAKS[key](alone.table_of(RECORDS[name])), tmp_path)
    (check,) = outcome.checks
    assert not check.passed
    assert (check.expectation, ", ".join(check.columns)) == (expectation, place.removesuffix(" (most)"))
    assert check.severity == ("error" if entry.severity == "critical" else "warning")
    line = outcome.line(check)
    assert line.startswith(f"{name}: {expectation}") and line.endswith(entry.meta.mend)
    assert "\n" not in line and len(check.seen) > 0


def test_an_expectation_that_cannot_be_computed_does_not_hold(tmp_path: Path) -> None:
    asked = suite("samples")
    outcome = run(asked, asked.table_of(RECORDS["samples"]).drop(columns="split"), tmp_path)
    assert any("split" in outcome.line(check) for check in outcome.failed("error"))


@pytest.mark.parametrize("name", ["raw_annotations", "samples"])
def test_suites_know_every_task(name: str) -> None:
    (tasks,) = [
        entry.kwargs["value_set"]
        for entry in suite(name).expectations
        if entry.type == "expect_column_values_to_be_in_set" and entry.kwargs["column"] == "task"
    ]
    assert tuple(tasks) == TASKS


def test_a_line_names_rows_and_says_what_to_do() -> None:
    check = Check(
        expectation="expect_column_values_to_be_unique",
        columns=("id",),
        passed=False,
        failed_rows=4,
        seen=("id=s1", "id=s1", "id=s2", "id=s2"),
        mend="give every sample its own id",
    )
    outcome = Outcome(dataset="samples", suite="samples", suite_digest="d", rows=9, checks=(check,))
    assert outcome.line(check) == (
        "samples: expect_column_values_to_be_unique(id) does not hold: 4 of 9 rows: id=s1; id=s1; id=s2; …; "
        "give every sample its own id"
    )
