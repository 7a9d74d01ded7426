"""Guards fire under every runner, and what they found is in the run's summary and in MLflow."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.orchestration.validation import GuardError, SuiteGuard
from orchestration.validation.cases import RECORDS, SUITES

RUNNERS = [
    SequentialRunner,
    ThreadRunner,
    pytest.param(ParallelRunner, marks=[pytest.mark.slow, pytest.mark.ci_sample]),
]
SUITE = {
    "name": "points",
    "meta": {"table": "orchestration.things.points_table", "rows": ["x"]},
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 3},
            "severity": "critical",
            "meta": {"mend": "ask for fewer points"},
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 1},
            "severity": "warning",
            "meta": {"mend": "two are enough"},
        },
    ],
}
VALIDATOR = """\
  validator:
    class: d2vlm_pipeline.orchestration.validation.SuiteGuard
    options:
      dataset: points
      suite: {filepath: great_expectations/points.json}
      results: {filepath: "${globals:data_root}/08_reporting/validation"}
  metadata: {made_by: ingestion}

"{system}_model":"""


@pytest.fixture
def guarded(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project in miniature with a guard before its points."""
    catalog = project / "conf/base/catalog.yml"
    text = catalog.read_text()
    head, _, rest = text.partition('  metadata: {made_by: ingestion}\n\n"{system}_model":')
    assert rest
    catalog.write_text(head + VALIDATOR + rest)
    (project / "great_expectations").mkdir()
    (project / "great_expectations/points.json").write_text(json.dumps(SUITE))
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    return project


def artifacts(project: Path) -> list[str]:
    """Paths below `validation` in the runs of the store: spawned workers open runs of their own."""
    config = tracking_config(project)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return [one.path for run in runs for one in client.list_artifacts(run.info.run_id, "validation")]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_guard_stops_the_run_before_anything_is_written(
    guarded: Path, run_session: Callable[..., Any], runner: type
) -> None:
    with pytest.raises(GuardError) as error:
        run_session("ingestion", "sft", runner=runner(), params={"points": {"count": 6}})
    assert str(error.value) == (
        "points: expect_column_values_to_be_between(x) does not hold: 2 of 6 rows: x=4; x=5; "
        "ask for fewer points"
    )
    assert not (guarded / "data/03_primary/points.jsonl").exists()
    assert (guarded / "data/08_reporting/validation/docs/index.html").is_file()
    assert "validation/points.json" in artifacts(guarded)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_warning_does_not_stop_it(
    guarded: Path, run_session: Callable[..., Any], runner: type, capsys: pytest.CaptureFixture[str]
) -> None:
    run_session("ingestion", "sft", runner=runner())
    assert (guarded / "data/06_models/sft/2.txt").is_file()
    said = " ".join(capsys.readouterr().out.split())
    assert "2 expectations on 1 datasets: 1 warning" in said
    assert "points: expect_column_values_to_be_between(x) does not hold: 1 of 3 rows: x=2" in said
    assert "data/08_reporting/validation/docs/index.html" in said
    assert {"validation/docs", "validation/points.json"} == set(artifacts(guarded))


def test_on_the_command_line_a_refusal_is_the_last_line(
    guarded: Path, kedro_run: Callable[..., Result]
) -> None:
    result = kedro_run("--pipelines", "ingestion", "--params", "points.count=5")
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert result.stderr.strip().splitlines()[-1] == (
        "points: expect_column_values_to_be_between(x) does not hold: 1 of 5 rows: x=4; ask for fewer points"
    )


def test_a_run_that_loads_nothing_guarded_says_nothing_of_guards(
    guarded: Path, run_session: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_session("ingestion", "sft", "fpo", "evaluation")
    capsys.readouterr()
    run_session("promotion")
    assert "expectations" not in capsys.readouterr().out


def test_it_can_be_switched_off(
    guarded: Path, run_session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_DATASET_VALIDATION", "off")
    run_session("ingestion", params={"points": {"count": 6}})
    assert not (guarded / "data/08_reporting/validation").exists()


def test_threads_take_turns(tmp_path: Path) -> None:
    guards = {
        name: SuiteGuard(
            dataset=name,
            suite={"filepath": str(SUITES / f"{name}.json")},
            results={"filepath": str(tmp_path)},
        )
        for name in ("samples", "video_table", "preference_pairs")
    }
    with ThreadPoolExecutor(3) as threads:
        done = {name: threads.submit(one.validate, RECORDS[name]) for name, one in guards.items()}
    assert all(future.result() == RECORDS[name] for name, future in done.items())
    index = (tmp_path / "docs/index.html").read_text()
    assert all(name in index for name in guards)
