"""The `d2vlm` command line: thin, and polite about what people can mend."""

import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration import AtomicDataset

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own configuration, without data."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_certificate(folder: Path, *passed: bool) -> None:
    rows = [
        {"name": f"promise {number}", "value": 20.5, "limit": "at most 25", "passed": is_kept}
        for number, is_kept in enumerate(passed)
    ]
    path = folder / "08_reporting" / "world_certificate.json"
    AtomicDataset(filepath=str(path), dataset={"type": "json.JSONDataset"}).save(
        {"checks": rows, "skipped": [{"name": "a rare thing", "reason": "n = 3"}]}
    )


def test_the_certificate_is_shown_promise_by_promise(project: Path) -> None:
    save_certificate(project / "data", True, True)
    result = CliRunner().invoke(main, ["data", "check", "--world"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok      promise 0: 20.5 (at most 25)",
        "ok      promise 1: 20.5 (at most 25)",
        "skipped a rare thing: n = 3",
    ]


def test_a_broken_promise_is_an_error(project: Path) -> None:
    save_certificate(project / "data" / "smoke", True, False)
    result = CliRunner().invoke(main, ["data", "check", "--world", "--env", "smoke"])
    assert result.exit_code == 1
    assert "BROKEN  promise 1" in result.stdout


def test_before_any_run_the_error_says_what_to_run(project: Path) -> None:
    result = CliRunner().invoke(main, ["data", "check", "--world"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "data/08_reporting/world_certificate.json is missing: run `kedro run --pipelines features` first"
    ]


def test_an_unknown_environment_is_one_line(project: Path) -> None:
    result = CliRunner().invoke(main, ["data", "check", "--world", "--env", "nowhere"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1 and "base" in result.stderr


def test_the_version_is_the_package_s() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in CliRunner().invoke(main, ["--version"]).stdout
