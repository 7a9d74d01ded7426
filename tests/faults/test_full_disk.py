"""A disk that is full ends a run in one line; with more room, the same command goes on from there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faults.runs import COMMAND, Runs, copy_project, environment
from faults.sameness import content

pytestmark = pytest.mark.slow

APART = ["unshare", "--map-root-user", "--mount"]
INGEST = (*COMMAND, "--pipelines", "ingestion")
LARGE_KB = 500_000


@pytest.fixture(autouse=True)
def mounts(tmp_path: Path) -> None:
    """A mount namespace with a small disk in it."""
    command = [*APART, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    has_unshare = shutil.which("unshare") is not None
    if not has_unshare or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespaces: no small disk to be had")


def outcomes(
    folder: Path, where: str, arguments: tuple[str, ...], *sizes_kb: int
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What an undisturbed run leaves, and what became of runs on a disk of one size after the other."""
    root = copy_project(folder / "project")
    with Runs(folder) as runs:
        ended = runs.run(root, arguments=arguments)
        assert ended.status == 0, ended.said[-3000:]
    whole = content(root / "data/faults")
    for name in ("data", "mlruns"):
        shutil.rmtree(root / name)
    job = [sys.executable, "-m", "faults.full_disk", str(root), str(folder), where, *arguments, "--"]
    command = [*APART, *job, *map(str, sizes_kb)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return whole, [json.loads(line) for line in done.stdout.splitlines()]


def check(whole: dict[str, str], found: list[dict[str, Any]]) -> None:
    """One line each while there is no room, nothing but whole files, and at last all of them."""
    *refused, last = found
    for outcome in refused:
        assert outcome["status"] == 2, outcome["said"]
        assert "make room, then run the same command again" in outcome["last"], outcome["said"]
        assert not outcome["has_trace"], outcome["said"]
        assert outcome["leftovers"] == [], outcome["size_kb"]
        assert outcome["content"].items() <= whole.items(), outcome["size_kb"]
    assert last["status"] == 0, last["said"]
    assert last["leftovers"] == []
    assert last["content"] == whole


def test_data_that_have_no_room(tmp_path: Path) -> None:
    check(*outcomes(tmp_path, "data", COMMAND, 40, 400, 3_000, 12_000, 26_000, LARGE_KB))


def test_a_store_of_mlflow_that_has_no_room(tmp_path: Path) -> None:
    check(*outcomes(tmp_path, "mlruns", INGEST, 100, 1_000, LARGE_KB))
