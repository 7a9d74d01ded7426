"""Compiling DeepSpeed's operations: said when it begins, and never waited for in vain."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.training.engines.op_build import build_op, clear_lock


class Builder:
    """Compiles at once."""

    name = "quick_op"

    def __init__(self, root: Path) -> None:
        self.folder, self.loads = root / self.name, 0

    def load(self, verbose: bool = False) -> Any:
        assert not (self.folder / "lock").exists(), "PyTorch would wait for it for ever"
        self.loads += 1
        (self.folder / f"{self.name}.so").touch()


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    (tmp_path / Builder.name).mkdir()
    return Builder(tmp_path)


def test_the_first_build_is_announced_and_later_loads_are_not(
    builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    build_op(builder)
    assert "DeepSpeed compiles quick_op" in caplog.text
    caplog.clear()
    build_op(builder)
    assert builder.loads == 2 and caplog.text == ""


def test_a_lock_that_a_killed_build_left_is_removed_and_said(
    builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    lock = builder.folder / "lock"
    left_by = f"import os; os.open({str(lock)!r}, os.O_CREAT | os.O_EXCL); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", left_by], check=False)
    assert lock.exists()
    build_op(builder)
    assert builder.loads == 1
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"{lock} was left by a build that was killed")


def test_the_lock_of_a_build_that_runs_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lock = tmp_path / "lock"
    held = os.open(lock, os.O_CREAT | os.O_EXCL)
    try:
        clear_lock(lock)
    finally:
        os.close(held)
    assert lock.exists()
    assert f"process {os.getpid()} compiles in {tmp_path}: waiting for it" in caplog.text
