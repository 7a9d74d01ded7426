"""`kedro` as a process, with the project's own configuration and pipelines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_project(tmp_path: Path) -> Path:
    """The project without data, runs or personal settings."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    for name in ("conf/local", "src"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.ci_sample
def test_with_nothing_run_fpo_says_what_to_run_first(empty_project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--pipeline", "fpo"],
        cwd=empty_project,
        env={**os.environ, "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sft_model is missing (data/06_models/sft): run `kedro run --pipelines ")
    assert "sft`" in last
