"""What it costs to run nodes on Ray instead of one after the other in the run's own process.

    python -m benchmarks.ray_runner nodes [--nodes 20] [--repetitions 3] [--json OUT]
    python -m benchmarks.ray_runner run [--env faults] [--json OUT]

nodes: nodes that do next to nothing, each of which takes what the one before it made, from memory. `start`
is Ray's start, `first` the first run, in which workers import what they need; `node` is one node of the runs
after that, beside the same under Kedro's SequentialRunner. `busy` are eight independent nodes of half a
second of computing: wall time of one after the other over that of Ray's run.

run: the main job of an environment, each way in a folder of its own, from nothing: wall and CPU seconds.

Wall times want a machine of their own; CPU seconds are those of the process and all below it, Ray's own
processes included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner, SequentialRunner
from rich.console import Console
from rich.table import Table

from d2vlm_pipeline.orchestration import RayRunner
from d2vlm_pipeline.orchestration.ray_session import ray_session
from d2vlm_pipeline.orchestration.ray_settings import RaySettings

ROOT = Path(__file__).parents[1]
BUSY_S, BUSY = 0.5, 8
_SAMPLE_EVERY_S = 0.2


def next_number(number: int) -> int:
    """Of a chain of nodes."""
    return number + 1


def compute(number: int) -> int:
    """Half a second of one core."""
    begun = time.thread_time()
    while time.thread_time() - begun < BUSY_S:
        number += 1
    return number


def chain(nodes: int) -> Pipeline:
    """Nodes of which each takes what the one before it made."""
    return Pipeline([Node(next_number, f"x{k}", f"x{k + 1}", name=f"next_{k}") for k in range(nodes)])


def independent(nodes: int) -> Pipeline:
    """Nodes that all take the same."""
    return Pipeline([Node(compute, "x0", f"y{k}", name=f"compute_{k}") for k in range(nodes)])


@contextmanager
def spent(found: dict[str, float], name: str) -> Iterator[None]:
    """Wall and CPU seconds of the block, of this process and all below it."""
    begun, before = time.perf_counter(), tree_cpu_s()
    yield
    found[f"{name}_wall_s"] = time.perf_counter() - begun
    found[f"{name}_cpu_s"] = tree_cpu_s() - before


def tree_cpu_s() -> float:
    """CPU seconds of the processes that there are now."""
    return sum(each.user + each.system for each in _cpu_times(psutil.Process()).values())


def _cpu_times(root: psutil.Process) -> dict[psutil.Process, psutil._ntuples.pcputimes]:
    found = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            found[process] = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
    return found


def run_nodes(runner: AbstractRunner, pipeline: Pipeline) -> None:
    """One run, with hooks of none."""
    catalog = DataCatalog()
    catalog["x0"] = 0
    catalog["params:ray"] = RaySettings()
    runner.run(pipeline, catalog, _create_hook_manager())


def measure_nodes(nodes: int, repetitions: int) -> dict[str, float]:
    """Figures of `nodes`."""
    found: dict[str, float] = {}

    def repeated(name: str, run: Callable[[], None], per: int) -> None:
        runs: list[dict[str, float]] = [{} for _ in range(repetitions)]
        for each in runs:
            with spent(each, name):
                run()
        found.update({key: median(each[key] for each in runs) / per for key in runs[0]})

    run_nodes(SequentialRunner(), chain(1))  # imports what Kedro's datasets need
    repeated("node_sequential", lambda: run_nodes(SequentialRunner(), chain(nodes)), nodes)
    repeated("busy_sequential", lambda: run_nodes(SequentialRunner(), independent(BUSY)), 1)
    ray = ray_session(RaySettings(object_store_mb=100))
    with spent(found, "start"):
        ray.__enter__()
    try:
        with spent(found, "first"):
            run_nodes(RayRunner(), independent(2 * (os.cpu_count() or 1)))
        repeated("node_ray", lambda: run_nodes(RayRunner(), chain(nodes)), nodes)
        repeated("busy_ray", lambda: run_nodes(RayRunner(), independent(BUSY)), 1)
    finally:
        ray.__exit__(None, None, None)
    found["busy_speedup"] = found["busy_sequential_wall_s"] / found["busy_ray_wall_s"]
    return found


def measure_run(env: str) -> dict[str, float]:
    """Figures of `run`."""
    found: dict[str, float] = {}
    on_ray = ["--runner", "d2vlm_pipeline.orchestration.RayRunner"]
    for name, options in {"sequential": [], "ray": on_ray}.items():
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder)
            for part in ("conf", "great_expectations"):
                shutil.copytree(ROOT / part, project / part)
            shutil.copy(ROOT / "pyproject.toml", project)
            for part in ("src", "conf/local"):
                (project / part).mkdir(exist_ok=True)
            found |= {f"{name}_{key}": value for key, value in job(project, ["--env", env, *options]).items()}
    found["wall_ratio"] = found["ray_wall_s"] / found["sequential_wall_s"]
    found["cpu_ratio"] = found["ray_cpu_s"] / found["sequential_cpu_s"]
    return found


def job(project: Path, options: list[str]) -> dict[str, float]:
    """Seconds of one `kedro run`: CPU as last seen of each process, a fifth of a second before its end."""
    begun = time.perf_counter()
    process = psutil.Popen(
        [sys.executable, "-m", "kedro", "run", *options], cwd=project, stdout=subprocess.DEVNULL
    )
    seen: dict[psutil.Process, psutil._ntuples.pcputimes] = {}
    while process.poll() is None:
        try:
            seen |= _cpu_times(process)
        except psutil.NoSuchProcess:
            break
        time.sleep(_SAMPLE_EVERY_S)
    if process.wait():
        raise RuntimeError(f"kedro run {' '.join(options)} ended with {process.returncode}")
    cpu_s = sum(each.user + each.system for each in seen.values())
    return {"wall_s": time.perf_counter() - begun, "cpu_s": cpu_s}


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["nodes", "run"])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--env", default="faults")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    nodes = given.what == "nodes"
    found = measure_nodes(given.nodes, given.repetitions) if nodes else measure_run(given.env)
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
