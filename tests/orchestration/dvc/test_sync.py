"""`kedro dvc` in miniature: what is out of date is said, and nothing runs that DVC does not know."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from kedro.framework.project import configure_project

from d2vlm_pipeline.orchestration.dvc.command import dvc
from orchestration.conftest import PACKAGE

Kedro = Callable[..., Result]


@pytest.fixture
def kedro_dvc(project: Path) -> Kedro:
    def call(*arguments: str) -> Result:
        configure_project(PACKAGE)  # of a process of its own; a run leaves its pipelines behind
        return CliRunner().invoke(dvc, list(arguments))

    return call


@pytest.fixture
def synced(project: Path, kedro_dvc: Kedro) -> Path:
    assert kedro_dvc("sync").exit_code == 0
    return project


def said(result: Result) -> tuple[int, list[str]]:
    return result.exit_code, result.output.strip().splitlines()


def set_param(project: Path, group: str, key: str, value: object) -> None:
    """What `dvc exp run -S` does."""
    path = project / "params.yaml"
    document = yaml.safe_load(path.read_text())
    document[group][key] = value
    path.write_text(yaml.safe_dump(document))


def made_by_sft(project: Path, root: str = "data") -> set[str]:
    return {path.read_text() for path in (project / root / "06_models/sft").glob("*.txt")}


def test_both_files_are_written_once_and_say_by_whom(project: Path, kedro_dvc: Kedro) -> None:
    assert said(kedro_dvc("sync")) == (0, ["written: dvc.yaml, params.yaml"])
    assert said(kedro_dvc("sync")) == (0, ["up to date"])
    assert said(kedro_dvc("sync", "--check")) == (0, ["up to date"])
    document = yaml.safe_load((project / "dvc.yaml").read_text())
    assert list(document["stages"]) == ["conf", "ingestion", "sft", "fpo", "evaluation"]
    for name in ("dvc.yaml", "params.yaml"):
        assert (project / name).read_text().startswith("# Written by `kedro dvc sync`: change conf/")
    assert not list(project.glob(".*sha256"))


def test_the_check_says_what_is_out_of_date_and_writes_nothing(synced: Path, kedro_dvc: Kedro) -> None:
    before = (synced / "params.yaml").read_text()
    (synced / "conf/base/parameters_sft.yml").write_text("sft: {steps: 11}\n")
    (synced / "conf/base/parameters.yml").write_text("points: {count: 3}\n")
    dvc_yaml = synced / "dvc.yaml"
    dvc_yaml.write_text(dvc_yaml.read_text().replace("    - src/orchestration/tiny/nodes.py\n", "", 1))
    code, lines = said(kedro_dvc("sync", "--check"))
    assert code == 1
    assert lines[:3] == [
        "dvc.yaml: stages.ingestion.deps: src/orchestration/tiny/nodes.py is missing",
        "params.yaml: sft.steps: 10 here, 11 by conf/ and code",
        "params.yaml: sft.optimiser: {rate: 0.5} here, nothing by conf/ and code",
    ]
    assert lines[-1] == "out of date: run `kedro dvc sync`"
    assert (synced / "params.yaml").read_text() == before


def test_a_stage_runs_under_the_parameters_that_dvc_notes_down(synced: Path, kedro_dvc: Kedro) -> None:
    set_param(synced, "sft", "steps", 7)
    for stage in ("ingestion", "sft"):
        assert kedro_dvc("run", stage).exit_code == 0
    assert made_by_sft(synced) == {"7*0\n", "7*1\n", "7*2\n"}


def test_numbers_as_dvc_writes_them_are_numbers(synced: Path, kedro_dvc: Kedro) -> None:
    text = (synced / "params.yaml").read_text()
    (synced / "params.yaml").write_text(text.replace("rate: 0.5", "rate: 1e-05"))
    assert kedro_dvc("run", "ingestion").exit_code == 0
    assert kedro_dvc("run", "sft").exit_code == 0


def test_another_environment_runs_by_its_own_files(project: Path, kedro_dvc: Kedro) -> None:
    assert said(kedro_dvc("sync", "--env", "smoke")) == (
        0,
        ["written: stages/smoke/dvc.yaml, stages/smoke/params.yaml"],
    )
    for stage in ("conf", "ingestion", "sft"):
        assert kedro_dvc("run", stage, "--env", "smoke").exit_code == 0
    assert made_by_sft(project, "data/smoke") == {"2*0\n", "2*1\n", "2*2\n"}


def test_the_environment_of_the_shell_is_not_that_of_a_stage(
    synced: Path, kedro_dvc: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_ENV", "smoke")
    assert kedro_dvc("run", "ingestion").exit_code == 0
    assert (synced / "data/03_primary/points.jsonl").is_file()


@pytest.mark.parametrize("folder", ["base", "local"])
@pytest.mark.parametrize("stage", ["conf", "sft"])
def test_what_conf_says_now_cannot_hide_behind_what_it_said(
    synced: Path, kedro_dvc: Kedro, folder: str, stage: str
) -> None:
    (synced / f"conf/{folder}/parameters_sft.yml").write_text("sft: {steps: 12, optimiser: {rate: 0.5}}\n")
    if folder == "base":
        (synced / "conf/base/parameters.yml").write_text("points: {count: 3}\n")
    code, lines = said(kedro_dvc("run", stage))
    assert (code, lines) == (
        2,
        [
            "params.yaml: conf/ has changed since it was written (sft.steps: 10 here, 12 by conf/ and code); "
            "run `kedro dvc sync`"
        ],
    )
    assert kedro_dvc("sync").exit_code == 0
    assert kedro_dvc("run", "conf").exit_code == 0


def test_overrides_that_were_synced_hold_where_their_owner_s_file_is_not(
    project: Path, kedro_dvc: Kedro
) -> None:
    """A clone has no conf/local; params.yaml says what the run was."""
    own = project / "conf/local/parameters.yml"
    own.write_text("sft: {steps: 4}\n")
    assert kedro_dvc("sync").exit_code == 0
    own.unlink()
    for stage in ("conf", "ingestion", "sft"):
        assert kedro_dvc("run", stage).exit_code == 0
    assert made_by_sft(project) == {"4*0\n", "4*1\n", "4*2\n"}
    own.write_text("sft: {steps: 5}\n")
    assert kedro_dvc("run", "conf").exit_code == 2


def test_what_everybody_shares_is_checked_without_conf_local(synced: Path, kedro_dvc: Kedro) -> None:
    (synced / "conf/local/parameters.yml").write_text("sft: {steps: 4}\n")
    assert kedro_dvc("sync", "--check").exit_code == 1
    assert said(kedro_dvc("sync", "--check", "--env", "base")) == (0, ["up to date"])


def test_a_stage_that_dvc_knows_otherwise_does_not_run(synced: Path, kedro_dvc: Kedro) -> None:
    path = synced / "dvc.yaml"
    path.write_text(path.read_text().replace("    - src/orchestration/tiny/nodes.py\n", ""))
    code, (line,) = said(kedro_dvc("run", "ingestion"))
    assert code == 2
    assert line.startswith(
        "dvc.yaml: ingestion.deps: src/orchestration/tiny/nodes.py is missing; run `kedro dvc sync`."
    )
    assert not (synced / "data/03_primary").exists()


def test_a_key_that_conf_has_cannot_be_taken_away(synced: Path, kedro_dvc: Kedro) -> None:
    text = (synced / "params.yaml").read_text()
    (synced / "params.yaml").write_text(text.replace("  optimiser:\n    rate: 0.5\n", ""))
    code, (line,) = said(kedro_dvc("run", "ingestion"))
    assert (code, line) == (
        2,
        "params.yaml: sft.optimiser: nothing here, {rate: 0.5} by conf/ and code: what conf/ says can be "
        "changed here, not removed",
    )


def test_a_value_that_its_model_refuses_is_one_line(synced: Path, kedro_dvc: Kedro) -> None:
    set_param(synced, "sft", "stepps", 7)
    kedro_dvc("run", "ingestion")
    result = kedro_dvc("run", "sft")
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1].startswith("--params: sft.stepps: Extra inputs")


@pytest.mark.parametrize("text", ["- a list\n", "{broken\n"])
def test_a_file_that_is_no_mapping_is_one_line(synced: Path, kedro_dvc: Kedro, text: str) -> None:
    (synced / "params.yaml").write_text(text)
    code, (line,) = said(kedro_dvc("run", "sft"))
    assert code == 2 and "params.yaml" in line and line.endswith("`kedro dvc sync`")


def test_an_unknown_stage_lists_the_known(synced: Path, kedro_dvc: Kedro) -> None:
    assert said(kedro_dvc("run", "promotion")) == (
        2,
        ["dvc.yaml: no stage 'promotion' (there are: conf, ingestion, sft, fpo, evaluation)"],
    )
