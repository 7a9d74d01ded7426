"""Runs `kedro` over and over: a process that has made the imports of a run forks one for every run.

    python -m faults.server

A line of JSON in, an `Order`, and one out, the exit status. Imports are most of what a run of seconds costs.
Every run is a process of its own, as one from the shell is; what it has before it starts is modules alone.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "D2VLM_FAULTS_RUN"


@dataclass(frozen=True)
class Order:
    """One command to run.

    Attributes:
        root: folder of the project.
        arguments: of `kedro`.
        mark: value of an environment variable of all processes of the run, by which they are found.
        log: file for what it prints.
        trace: file for where it is.
        strike: a `Strike` as a dictionary, or None.
        modules: file for the names of the modules that it has imported, or None.
    """

    root: str
    arguments: tuple[str, ...]
    mark: str
    log: str
    trace: str
    strike: dict[str, object] | None = None
    modules: str | None = None

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def serve() -> int:
    """Take orders until there are no more; in a run's own process, its exit status."""
    known = Path()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        if order.modules and not known.name:
            known = Path(order.modules)
        pid = os.fork()
        if pid == 0:
            return _run(order)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if order.modules and known.is_file():
            _import(known.read_text().split())
        print(json.dumps(status), flush=True)
    return 0


def _run(order: Order) -> int:
    os.setsid()
    os.chdir(order.root)
    os.environ[MARK] = order.mark
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from d2vlm_pipeline import settings
    from faults.striker import Strike, Striker

    strike = None if order.strike is None else Strike(**order.strike)  # type: ignore[arg-type]
    striker = Striker(Path(order.root), Path(order.trace), strike)
    settings.HOOKS = (*settings.HOOKS, striker)  # type: ignore[assignment]
    status = _kedro(order)
    striker.end()
    if order.modules:
        Path(order.modules).write_text("\n".join(sys.modules))
    return status


def _kedro(order: Order) -> int:
    from kedro.framework.cli.cli import main

    sys.argv = ["kedro", *order.arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _import(names: list[str]) -> None:
    """What a run has imported, in its order; what cannot be by itself comes with what it belongs to."""
    for name in names:
        if name.partition(".")[0] not in ("__main__", "__mp_main__", "faults"):
            try:
                importlib.import_module(name)
            except Exception:
                continue
    if threading.active_count() > 1:
        raise RuntimeError(f"imports have started threads, which forks lack: {threading.enumerate()}")


if __name__ == "__main__":
    sys.exit(serve())
