"""`kedro run` as people type it: what they can mend ends in one line, what is a bug keeps its traceback."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from d2vlm_pipeline.artifacts import Interrupted
from d2vlm_pipeline.orchestration import run_command

KedroRun = Callable[..., Result]


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("option", ["--pipeline", "--pipelines"])
def test_both_spellings_run_one_pipeline(project: Path, kedro_run: KedroRun, option: str) -> None:
    assert kedro_run(option, "ingestion").exit_code == 0
    assert (project / "data/03_primary/points.jsonl").is_file()
    assert not (project / "data/06_models").exists()


@pytest.mark.parametrize("option", ["--pipeline", "--pipelines"])
def test_a_missing_input_ends_the_run_with_one_line(kedro_run: KedroRun, option: str) -> None:
    kedro_run("--pipelines", "ingestion")
    result = kedro_run(option, "fpo")
    assert result.exit_code == 2
    assert last_line(result) == (
        "sft_model is missing (data/06_models/sft): run `kedro run --pipelines sft` first"
    )
    assert "Traceback" not in result.output


def test_a_user_error_in_lazily_saved_data_is_one_line(kedro_run: KedroRun) -> None:
    result = kedro_run("--pipelines", "ingestion", "--params", "points.bad_row=1")
    assert (result.exit_code, last_line(result)) == (2, "points.csv:1: no such point; drop the row")


def test_a_signal_ends_the_run_with_its_number(kedro_run: KedroRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**options: object) -> None:
        raise Interrupted("sft: stopped by SIGUSR2 behind step 3", signal.SIGUSR2)

    monkeypatch.setattr(run_command.kedro_run, "callback", interrupted)
    result = kedro_run("--pipelines", "ingestion")
    assert (result.exit_code, last_line(result)) == (140, "sft: stopped by SIGUSR2 behind step 3")
    assert "Traceback" not in result.output


def test_other_errors_keep_their_traceback(project: Path, kedro_run: KedroRun) -> None:
    (project / "data").mkdir(parents=True, exist_ok=True)
    (project / "data/03_primary").write_text("a file where a folder should be")
    result = kedro_run("--pipelines", "ingestion")
    assert result.exit_code == 1 and result.exception is not None


MISSPELT = {
    "--pipelines fop": "no pipeline 'fop'; use one of ingestion, sft, fpo, evaluation, promotion, align",
    "--params pionts.count=1": "--params: no parameter 'pionts'; did you mean points?",
    "--params points.cuont=1": "--params: points.cuont: Extra inputs are not permitted (got 1); "
    "remove it or mend its name",
}


@pytest.mark.parametrize("arguments", MISSPELT)
def test_misspellings_are_refused_before_anything_runs(
    project: Path, kedro_run: KedroRun, arguments: str
) -> None:
    result = kedro_run(*arguments.split())
    assert (result.exit_code, last_line(result)) == (2, MISSPELT[arguments])
    assert not (project / "data").exists()


def test_an_unknown_environment_lists_the_known(kedro_run: KedroRun) -> None:
    result = kedro_run("--env", "smok")
    assert result.exit_code == 2
    assert last_line(result).endswith("use one of base, local, smoke")


NOT_WHOLE = "Input should be a valid integer, unable to parse string as an integer (got 'x'); mend the value"


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("base/parameters.yml", "points: {count: x}\nsft: {steps: 1}\n", f"points.count: {NOT_WHOLE}"),
        (
            "base/parameters.yml",
            "points: {count: x, extra: 1}\nsft: {steps: 1}\n",
            f"points.count: {NOT_WHOLE} (and 1 more)",
        ),
        (
            "base/parameters.yml",
            "points: {}\nsft: {steps: 1}\n",
            "points.count: Field required; mend the value",
        ),
        (
            "smoke/parameters_sft.yml",
            "sft: {optimiser: {rat: 1.0}}\n",
            "sft.optimiser.rat: Extra inputs are not permitted (got 1.0); remove it or mend its name",
        ),
    ],
)
def test_wrong_parameters_are_reported_by_file_and_key(
    project: Path, kedro_run: KedroRun, file: str, text: str, line: str
) -> None:
    (project / "conf" / file).write_text(text)
    result = kedro_run("--env", "smoke")
    assert (result.exit_code, last_line(result)) == (2, f"conf/{file}: {line}")


def test_a_root_seed_in_the_wrong_file_is_refused(project: Path, kedro_run: KedroRun) -> None:
    """Base has filled it in by the time the parameters of an environment are read."""
    (project / "conf/smoke/parameters_sft.yml").write_text("seed: 3\n")
    result = kedro_run("--env", "smoke")
    assert (result.exit_code, last_line(result)) == (
        2,
        "conf/smoke/parameters_sft.yml: seed: the root seed of an environment stands in its globals.yml; "
        "move it there",
    )


def test_the_run_ends_with_its_summary(kedro_run: KedroRun) -> None:
    result = kedro_run()
    assert result.exit_code == 0, result.output
    summary = result.stdout[result.stdout.index("test-iid") :]
    for line in ("tvg", "Seconds per pipeline", "ingestion", "whole run", "peak memory", "process tree",
                 "alias champion moves: 3 systems scored", "data/08_reporting/metrics.json",
                 "mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db"):  # fmt: skip
        assert line in summary
    assert "\x1b" not in result.output
    assert summary.index("model sft") < summary.index("model fpo") < summary.index("scores")
