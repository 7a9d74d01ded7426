"""What a second worker does for features, preference pairs and scoring.

    python -m benchmarks.scaling_workers [--work features pairs scoring] [--repetitions 3] [--ray]
        [--json OUT]

Time per clip, pair or prediction, start-up not included: of one worker on one CPU, of two on two CPUs, and of
two separate runs of one worker, side by side: `ceiling` is how much more those do than one, and no number of
workers can do better where two CPUs are threads of one core. `efficiency` is the share of twice as fast that
two workers are. Runs are interleaved and medians given; yet this is wall time: leave the machine alone
meanwhile. CPU time (`cpu_two_over_one`, 1 is best) says what spreading costs, on a busy machine as well.

Features are decoded and encoded out of clips of two seconds. Pairs are made, with the checker, of lists and
dense captions; what is scored are guesses at the same, with a bootstrap of 1,000 draws. Without --ray workers
are processes as `compute.workers` gives them (one: the run's own), with it actors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.features import scaled, start_job
from benchmarks.features_job import tree_cpu_s, write_clips
from benchmarks.preferences import workload
from d2vlm_pipeline.artifacts.spreading import OverProcesses, Spread, portions_of, spread_here
from d2vlm_pipeline.evaluation import BASELINES, EvaluationConfig, match_predictions
from d2vlm_pipeline.evaluation.scores import TaskScoring, Told
from d2vlm_pipeline.preferences import DonorPool, PreferenceConfig
from d2vlm_pipeline.preferences.portions import PORTION, Synthesis

WORK = {"features": "clip", "pairs": "pair", "scoring": "prediction"}
CLIPS = 240
SAMPLES = 16_000
SPLITS = 24
SYSTEMS = 4
ASKED = 250
WARM_UP = 4
"""Portions before the clock starts: by then all workers have."""


def job(work: str, workers: int, cpus: Sequence[int], on_ray: bool) -> dict[str, float]:
    """Seconds for each pair or prediction, by so many workers."""
    os.sched_setaffinity(0, cpus)
    function, portions, size = {"pairs": _pairs, "scoring": _scoring}[work]()
    with _spread(workers, on_ray) as spread:
        return _timed(spread(function, portions), len(portions), size)


def _timed(results: Iterable[Any], portions: int, size: Callable[[Any], int]) -> dict[str, float]:
    """Wall and CPU seconds for each thing that came after the warm-up."""
    done, begun = 0, (0.0, 0.0)
    for number, result in enumerate(results, start=1):
        if number > WARM_UP:
            done += size(result)
        if number == WARM_UP:
            begun = time.perf_counter(), tree_cpu_s()
        if number == portions:
            spent = time.perf_counter() - begun[0], tree_cpu_s() - begun[1]
    return {"wall_s": spent[0] / done, "cpu_s": spent[1] / done}


@contextmanager
def _spread(workers: int, on_ray: bool) -> Iterator[Spread]:
    if not on_ray:
        yield OverProcesses(workers) if workers > 1 else spread_here
        return
    from d2vlm_pipeline.orchestration.ray_pool import spreading
    from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings

    pool = RayPool(actors=workers)
    ray = RaySettings(enabled=True, object_store_mb=128, scoring=pool)
    with spreading(ray, "scoring", workers, records=0) as spread:
        yield spread


def _pairs() -> tuple[Any, Sequence[Any], Callable[[Any], int]]:
    samples = workload(SAMPLES)
    durations = dict.fromkeys((sample.video for sample in samples), 128.0)
    work = Synthesis(durations, PreferenceConfig(), DonorPool.of(samples))
    return work, portions_of(samples, PORTION), lambda made: len(made[0])


def _scoring() -> tuple[Any, Sequence[Any], Callable[[Any], int]]:
    samples = [sample for sample in workload(2 * ASKED) if sample.task == "tal"]
    durations = dict.fromkeys((sample.video for sample in samples), 128.0)
    said = {}
    for seed in range(SYSTEMS):
        config = EvaluationConfig(caption_similarity=False, seed=seed)
        guessed = BASELINES["chance"](samples, durations, config).predict(samples, durations)
        said[f"chance {seed}"] = match_predictions(samples, guessed)
    # A split's name is part of the bootstrap's seed: every portion draws anew.
    portions = [Told(f"split {number}", "tal", said, {}) for number in range(SPLITS)]
    return TaskScoring(config), portions, lambda _: SYSTEMS * len(samples)


def measure(work: str, repetitions: int, on_ray: bool) -> dict[str, float]:
    """One worker, two, and two separate runs of one."""
    if work == "features":
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_clips(folder, CLIPS, (320, 240), 24)
            start: Any = partial(start_job, folder, fps=2.0, on_ray=on_ray)
            found = scaled(start, repetitions, WORK[work])
    else:
        found = scaled(partial(_start, work, on_ray), repetitions, WORK[work])
    return found | {
        "one_per_s": 1e3 / found[f"one_wall_ms_per_{WORK[work]}"],
        "two_per_s": 1e3 / found[f"two_wall_ms_per_{WORK[work]}"],
        "efficiency": found["two_over_one"] / 2,
    }


def _start(work: str, on_ray: bool, workers: int, cpus: Sequence[int]) -> subprocess.Popen[str]:
    given = [work, str(workers), ",".join(map(str, cpus)), str(int(on_ray))]
    # Not as a module's main file: worker processes would read it again.
    call = "import sys; from benchmarks.scaling_workers import as_job; as_job(sys.argv[1:])"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", call, *given], stdout=subprocess.PIPE, text=True, env=environment
    )


def as_job(given: Sequence[str]) -> None:
    """Do one job in this process and print what it found."""
    work, workers, cpus, on_ray = given
    print(json.dumps(job(work, int(workers), [int(cpu) for cpu in cpus.split(",")], on_ray == "1")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="workers are actors of Ray")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {work: measure(work, asked.repetitions, asked.ray) for work in asked.work}
    names = ("one_per_s", "two_per_s", "two_over_one", "efficiency", "ceiling", "cpu_two_over_one")
    table = Table("work", *names, title=f"one worker and two, medians of {asked.repetitions}")
    for work, values in found.items():
        table.add_row(f"{work} ({WORK[work]}s)", *(f"{values[name]:,.2f}" for name in names))
    Console(width=110).print(table)
    if asked.json:
        flat = {f"{work}/{name}": value for work, values in found.items() for name, value in values.items()}
        asked.json.write_text(json.dumps(flat, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
