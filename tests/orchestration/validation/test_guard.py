"""The guard as a catalog calls it."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog

from annotations.samples import tvg, write_lines
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.errors import user_error_in
from d2vlm_pipeline.orchestration.validation import GuardError, SuiteGuard
from d2vlm_pipeline.orchestration.validation.outcome import load_outcome
from orchestration.validation.cases import SAMPLES, SUITES, listing, pair, sample

TWICE = [*SAMPLES, sample("s1")]
LINE = (
    "samples: expect_column_values_to_be_unique(id) does not hold: 2 of 5 rows: id=s1; id=s1; "
    "give every sample its own id"
)


def guard(results: Path, dataset: str = "samples", suite: str | None = None) -> SuiteGuard:
    suite_file = SUITES / f"{suite or dataset}.json"
    return SuiteGuard(
        dataset=dataset, suite={"filepath": str(suite_file)}, results={"filepath": str(results)}
    )


def catalog(tmp_path: Path, **validator: Any) -> DataCatalog:
    """A catalog whose `samples` are guarded."""
    options = {
        "dataset": "samples",
        "suite": {"filepath": str(SUITES / "samples.json")},
        "results": {"filepath": str(tmp_path / "validation")},
    }
    entry = {
        "type": "d2vlm_pipeline.orchestration.JsonLinesDataset",
        "filepath": str(tmp_path / "samples.jsonl"),
        "records": "d2vlm_pipeline.timeline.Sample",
        "validator": {
            "class": "d2vlm_pipeline.orchestration.validation.SuiteGuard",
            "options": options,
            **validator,
        },
    }
    return DataCatalog.from_config({"samples": entry})


def test_sound_data_goes_through_as_it_is(tmp_path: Path) -> None:
    assert guard(tmp_path).validate(SAMPLES) is SAMPLES


def test_an_iterator_is_not_used_up(tmp_path: Path) -> None:
    assert guard(tmp_path).validate(iter(SAMPLES)) == SAMPLES


def test_a_failure_is_one_line_with_dataset_rows_and_mend(tmp_path: Path) -> None:
    with pytest.raises(GuardError) as error:
        guard(tmp_path).validate(TWICE)
    assert str(error.value) == LINE
    (failure,) = error.value.failures
    assert (failure.column, failure.failure_count) == ("id", 2)


def test_the_line_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(GuardError("one line")))
    assert isinstance(error, UserError) and str(error) == "one line"


def test_saving_what_a_guard_refuses_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="expect_column_values_to_be_unique"):
        catalog(tmp_path).save("samples", TWICE)
    assert not (tmp_path / "samples.jsonl").exists()


def test_loading_what_a_guard_refuses_fails(tmp_path: Path) -> None:
    catalog(tmp_path, on="load").save("samples", TWICE)
    with pytest.raises(GuardError) as error:
        catalog(tmp_path).load("samples")
    assert user_error_in(error.value) is error.value and str(error.value) == LINE


def test_of_severity_warn_the_data_goes_through_with_a_logged_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = catalog(tmp_path, severity="warn")
    with caplog.at_level("WARNING"):
        guarded.save("samples", TWICE)
    assert LINE in caplog.messages
    assert (tmp_path / "samples.jsonl").exists()


def test_a_warning_of_the_suite_is_counted_and_lets_the_data_through(tmp_path: Path) -> None:
    backwards = [*SAMPLES, listing("late", 5.0, 2.0)]
    assert guard(tmp_path).validate(backwards) == backwards
    outcome = load_outcome(tmp_path, "samples")
    assert outcome is not None and outcome.failed("error") == []
    (warning,) = outcome.failed("warning")
    assert (warning.expectation, warning.failed_rows) == ("expect_evidence_in_order", 1)
    assert "id=late" in outcome.line(warning) and "-3" in outcome.line(warning)


def test_a_raw_file_is_looked_at_line_by_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", tvg("s1"), "{broken", tvg("s1", split="val"))
    with pytest.raises(GuardError, match=r"^raw_annotations: .* \(and 2 more expectations\)$"):
        guard(tmp_path, "raw_annotations").validate(path)
    outcome = load_outcome(tmp_path, "raw_annotations")
    assert outcome is not None and outcome.rows == 3
    lines = [outcome.line(check) for check in outcome.failed()]
    assert any("readable" in line and "line=2" in line for line in lines)


def test_a_pair_with_equal_sides_to_a_reader_is_refused(tmp_path: Path) -> None:
    """To a record a tenth of a millisecond is a difference; nobody can see it."""
    same = pair("same", start_s=1.00001)
    same = same.model_copy(
        update={
            "rejected": same.rejected.model_copy(
                update={"evidence": (same.chosen.evidence[0].model_copy(update={"start_s": 1.00001}),)}
            )
        }
    )
    with pytest.raises(GuardError, match=r"expect_chosen_to_differ_from_rejected.*id=same"):
        guard(tmp_path, "preference_pairs").validate([pair(), same])


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.json: no such suite; restore it"):
        guard(tmp_path, suite="nowhere")


def test_a_malformed_suite_is_named_by_line(tmp_path: Path) -> None:
    suite = tmp_path / "suite.json"
    suite.write_text('{\n"name": }')
    with pytest.raises(UserError, match=r"suite\.json: Invalid JSON.* line 2.*; correct the suite"):
        SuiteGuard(dataset="d", suite={"filepath": str(suite)}, results={"filepath": str(tmp_path)})


def test_an_unknown_table_is_named(tmp_path: Path) -> None:
    suite = tmp_path / "suite.json"
    asked = json.loads((SUITES / "samples.json").read_text())
    asked["meta"]["table"] = asked["meta"]["table"].replace("samples_table", "smaples_table")
    suite.write_text(json.dumps(asked))
    with pytest.raises(UserError, match=r"suite\.json: meta\.table: no function of this name"):
        SuiteGuard(dataset="d", suite={"filepath": str(suite)}, results={"filepath": str(tmp_path)})


def test_results_and_data_docs_are_written(tmp_path: Path) -> None:
    guard(tmp_path).validate(SAMPLES)
    guard(tmp_path, "preference_pairs").validate([pair()])
    index = (tmp_path / "docs" / "index.html").read_text()
    assert "samples" in index and "preference_pairs" in index
    pages = sorted(path.name for path in (tmp_path / "docs" / "validations").rglob("*.html"))
    assert len(pages) == 2
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["preference_pairs", "samples"]


def test_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.socket.connect", refuse)
    guard(tmp_path).validate(SAMPLES)
    pages = [page.read_text() for page in (tmp_path / "docs").rglob("*.html")]
    assert len(pages) == 3
    for page in pages:  # a logo that is fetched from their server, with time and project in its address
        assert "great-expectations-web-assets" not in page and "dataContextId" not in page


def test_running_again_replaces_what_was_found(tmp_path: Path) -> None:
    for _ in range(2):
        guard(tmp_path).validate(SAMPLES)
    assert len(list((tmp_path / "docs" / "validations").rglob("*.html"))) == 1
    first = (tmp_path / "samples.json").read_bytes()
    guard(tmp_path).validate(SAMPLES)
    assert (tmp_path / "samples.json").read_bytes() == first


def test_a_guard_costs_nothing_until_it_runs() -> None:
    script = (
        "import sys; import d2vlm_pipeline.settings; from d2vlm_pipeline.orchestration.validation import "
        "SuiteGuard; SuiteGuard(dataset='d', suite={'filepath': sys.argv[1]}, results={'filepath': 'x'}); "
        "print([name for name in ('great_expectations', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(SUITES / "samples.json")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "great_expectations" not in done.stdout
