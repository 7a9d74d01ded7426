"""`kedro run --env faults` in a copy of the project, killed or not, and what a run leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from faults.sameness import processes
from faults.server import MARK, Order
from faults.striker import Strike

ROOT = Path(__file__).parents[2]
COMMAND = ("run", "--env", "faults")
_PATIENCE_S = 30.0
_LONGEST_S = 300.0


def copy_project(root: Path, store: Path | None = None) -> Path:
    """Configuration and suites in a folder of its own, and an MLflow database where one is given."""
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(ROOT / "great_expectations", root / "great_expectations")
    for folder in ("conf/local", "src"):
        (root / folder).mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root)
    if store is not None:
        (root / "mlruns/faults").mkdir(parents=True)
        shutil.copy(store, root / "mlruns/faults/mlflow.db")
    return root


def environment(mark: str = "") -> dict[str, str]:
    """Of a process that runs the project's code: the same modules, one thread for each numeric library."""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    own = {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    return {**os.environ, **own, "PYTHONPATH": path, MARK: mark}


def kedro(*arguments: str) -> list[str]:
    """The command line of `kedro` with these modules."""
    return [sys.executable, "-m", "kedro", *arguments]


def completed(root: Path, *options: str) -> str:
    """What `kedro run --env faults` with these options has printed; it has to succeed."""
    command = kedro(*COMMAND, *options)
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@dataclass(frozen=True)
class Begun:
    """A run under way: its mark, and the files for what it prints and where it is."""

    mark: str
    log: Path
    trace: Path

    def comes_to(self, word: str) -> None:
        """Wait until it has printed, or come to, something."""
        deadline_s = time.monotonic() + _LONGEST_S
        while not any(word in path.read_text() for path in (self.log, self.trace) if path.exists()):
            assert time.monotonic() < deadline_s, f"no {word!r} in {self.log.read_text()[-2000:]}"
            time.sleep(0.02)


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    Attributes:
        status: exit status, negative for a signal.
        trace: where it was, record by record (`striker.Striker`).
        said: all that it printed.
        left: processes that it has left behind and that had to be ended.
    """

    status: int
    trace: list[dict[str, Any]]
    said: str
    left: list[str]

    @property
    def struck(self) -> dict[str, Any] | None:
        """Where it was ended; None where it ended by itself."""
        last = self.trace[-1]
        return last if last["event"] == "struck" else None

    @property
    def finished(self) -> set[str]:
        """Places that it has left."""
        return {record["place"] for record in self.trace if record["event"] == "left"}

    @property
    def nodes(self) -> list[str]:
        """What it came to, in order."""
        return [record["place"] for record in self.trace if record["event"] == "entered"]


class Runs:
    """Starts runs from a process that has made their imports. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """A folder for logs and traces."""
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-m", "faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, root: Path, strike: Strike | None = None, arguments: tuple[str, ...] = COMMAND) -> Ended:
        """One command, to its end; its processes are gone when this returns."""
        return self.end(self.begin(root, strike, arguments))

    def begin(
        self, root: Path, strike: Strike | None = None, arguments: tuple[str, ...] = COMMAND
    ) -> Begun:
        """One command; `end` waits for it."""
        mark = uuid.uuid4().hex[:12]
        log, trace = self._folder / f"{mark}.log", self._folder / f"{mark}.jsonl"
        order = Order(
            root=str(root),
            arguments=arguments,
            mark=mark,
            log=str(log),
            trace=str(trace),
            strike=None if strike is None else asdict(strike),
            modules=str(self._folder / "modules.txt") if strike is None else None,
        )
        assert self._server.stdin
        self._server.stdin.write(order.line())
        self._server.stdin.flush()
        return Begun(mark, log, trace)

    def end(self, begun: Begun) -> Ended:
        """What became of a command."""
        assert self._server.stdout
        status = int(self._server.stdout.readline())
        _, alive = psutil.wait_procs(processes(begun.mark), timeout=_PATIENCE_S)
        left = [" ".join(process.cmdline()) for process in alive]
        for process in alive:
            process.kill()
        records = [json.loads(line) for line in begun.trace.read_text().splitlines()]
        return Ended(status, records, begun.log.read_text(), left)
