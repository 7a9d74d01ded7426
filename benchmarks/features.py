"""Features at scale: memory against the number of clips, two workers against one, random access.

    python -m benchmarks.features memory [--clips 100 1000 10000] [--ray] [--json OUT]
    python -m benchmarks.features workers [--repetitions 3] [--json OUT]
    python -m benchmarks.features access [--json OUT]

memory: peak of the whole process tree while features of so many byte-distinct 2-second clips are extracted
and stored, one frame of each. `own` is what is no file's content; `pss` also counts libraries, once for all
processes that use them (so it falls while other programs on the machine use the same); `rss` once for each.

workers: time per clip, decoding, encoding and storing included, start-up not. One worker is a process that
decodes and one that encodes, all on one CPU; two are two of each on two CPUs; every process has one thread.
This is wall time: leave the machine alone meanwhile. Two CPUs of a virtual machine may be two threads of one
core: `ceiling` is how much more two wholly separate runs of one worker do than one, side by side; no number
of workers can do better. CPU seconds per clip say the same: they grow where the CPUs share a core.

access: a store of clips of 60 frames, read in random order out of a warm page cache. `get` gives a view;
`copy` reads every byte of the clip; `first` is the first touch, which checks the clip's digest, with a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.features_job import ENCODER, write_clips
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, build_encoder, write_store
from d2vlm_pipeline.features.index import Key
from d2vlm_pipeline.timeline import TimeBase

SAMPLE_EVERY_S = 0.05
KINDS = {"own": ["Pss_Anon", "Pss_Shmem"], "pss": ["Pss"], "rss": ["Rss"]}
"""Kinds of memory, by what the kernel calls their parts."""


def start_job(
    folder: Path, workers: int, cpus: Sequence[int], fps: float, on_ray: bool = False
) -> subprocess.Popen[str]:
    """A job in a process of its own, every numeric library with one thread."""
    given = [str(folder), str(workers), ",".join(map(str, cpus)), str(fps), str(int(on_ray))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.features_job", *given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finished(process: subprocess.Popen[str]) -> dict[str, float]:
    """What the job found."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the job ended with {process.returncode}")
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def peak_mb(process: subprocess.Popen[str]) -> dict[str, float]:
    """Highest sum of each kind of memory over the job's process tree, in MB, until it ends."""
    peak = dict.fromkeys(KINDS, 0.0)
    while process.poll() is None:
        now = tree_mb(process.pid)
        peak = {kind: max(peak[kind], now[kind]) for kind in KINDS}
        time.sleep(SAMPLE_EVERY_S)
    return {f"{kind}_mb": value for kind, value in peak.items()}


def tree_mb(pid: int) -> dict[str, float]:
    """Memory of a process and all below it."""
    import psutil

    total = dict.fromkeys(KINDS, 0.0)
    try:
        root = psutil.Process(pid)
        pids = [root.pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return total
    for each in pids:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # it has just ended
            continue
        kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        for kind, names in KINDS.items():
            total[kind] += sum(kb[name] for name in names) * 1024 / 1e6
    return total


def measure_memory(counts: Sequence[int], on_ray: bool) -> dict[str, float]:
    """Peaks for each number of clips, and the largest over the smallest."""
    found: dict[str, float] = {}
    cpus = sorted(os.sched_getaffinity(0))
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_clips(folder, count, (160, 120), 8)
            begun = time.perf_counter()
            process = start_job(folder, 2, cpus, 0.5, on_ray)
            peaks = peak_mb(process)
            finished(process)
        found |= {f"{name}_{count}": value for name, value in peaks.items()}
        found[f"seconds_{count}"] = time.perf_counter() - begun
    for kind in KINDS:
        peaks_mb = [found[f"{kind}_mb_{count}"] for count in counts]
        found[f"{kind}_largest_over_smallest"] = max(peaks_mb) / min(peaks_mb)
    return found


def measure_workers(repetitions: int, clips: int) -> dict[str, float]:
    """One worker, two, and two separate runs of one, interleaved; medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder, clips, (320, 240), 24)
        return scaled(partial(start_job, folder, fps=2.0), repetitions, "clip")


def scaled(
    start: Callable[[int, list[int]], subprocess.Popen[str]], repetitions: int, of: str
) -> dict[str, float]:
    """What a second worker does for a job, and the most that it could do on these two CPUs.

    Args:
        start: starts the job with so many workers on these CPUs; it prints `wall_s` and `cpu_s` of one `of`.
        repetitions: of one worker, two, and two separate runs of one, interleaved; medians are given.
        of: what the job does many of.
    """
    first, second = sorted(os.sched_getaffinity(0))[:2]
    seconds: dict[str, list[float]] = {}
    for _ in range(repetitions):
        one = finished(start(1, [first]))
        two = finished(start(2, [first, second]))
        apart = [finished(each) for each in [start(1, [first]), start(1, [second])]]
        values = {
            "one_wall_ms": one["wall_s"],
            "two_wall_ms": two["wall_s"],
            # Side by side, they finish twice as many in the time of the slower.
            "apart_wall_ms": max(each["wall_s"] for each in apart) / 2,
            "one_cpu_ms": one["cpu_s"],
            "two_cpu_ms": two["cpu_s"],
            "apart_cpu_ms": sum(each["cpu_s"] for each in apart) / 2,
        }
        for key, value in values.items():
            seconds.setdefault(key, []).append(1e3 * value)
    found = {f"{key}_per_{of}": median(values) for key, values in seconds.items()}
    speedup = found[f"one_wall_ms_per_{of}"] / found[f"two_wall_ms_per_{of}"]
    ceiling = found[f"one_wall_ms_per_{of}"] / found[f"apart_wall_ms_per_{of}"]
    return found | {
        "two_over_one": speedup,
        "ceiling": ceiling,
        "two_over_one_of_ceiling": speedup / ceiling,
        "cpu_two_over_one": found[f"two_cpu_ms_per_{of}"] / found[f"one_cpu_ms_per_{of}"],
        "cpus_share_a_core": float(_share_a_core(first, second)),
    }


def _share_a_core(first: int, second: int) -> bool:
    """Whether two CPUs are threads of one core, as far as the machine says."""
    siblings = Path(f"/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list").read_text()
    named: set[int] = set()
    for part in siblings.strip().split(","):
        low, _, high = part.partition("-")
        named |= set(range(int(low), int(high or low) + 1))
    return second in named


def measure_access(clips: int, passes: int) -> dict[str, float]:
    """Milliseconds per clip, wall time: medians and 99th percentiles."""
    with tempfile.TemporaryDirectory() as name:
        write_store(Path(name), _made_up(clips))
        for path in Path(name).iterdir():  # into the page cache
            path.read_bytes()
        store = FeatureStore(name)
        keys = [entry.key for entry in store.index.entries]
        ways: dict[str, Callable[[Key], object]] = {
            "first": lambda key: np.array(store.get(*key)[0]),
            "copy": lambda key: np.array(store.get(*key)[0]),
            "get": lambda key: store.get(*key),
        }
        found = {"clip_mb": store.get(*keys[0])[0].nbytes / 1e6}
        store = FeatureStore(name)
        for way, read in ways.items():
            times_ms = []
            for _ in range(1 if way == "first" else passes):
                for key in random.Random(0).sample(keys, len(keys)):
                    begun = time.perf_counter()
                    read(key)
                    times_ms.append(1e3 * (time.perf_counter() - begun))
            found |= {f"{way}_median_ms": median(times_ms)}
            found |= {f"{way}_p99_ms": float(np.percentile(times_ms, 99))}
    return found


def _made_up(clips: int, frames: int = 60) -> Iterator[ClipFeatures]:
    """Clips of the default encoder's shape; half a minute at two frames a second."""
    tokens, channels = build_encoder(ENCODER).shape_NC
    times_s = tuple(index / 2 for index in range(frames))
    timebase = TimeBase(times_s=times_s, duration_s=frames / 2, fps_src=25.0, policy_digest="p")
    rng = np.random.default_rng(0)
    for number in range(clips):
        values = rng.standard_normal((frames, tokens, channels), np.float32).astype(np.float16)
        yield ClipFeatures(f"{number:06d}", "p", "e", values, timebase)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["memory", "workers", "access"])
    parser.add_argument("--clips", type=int, nargs="+")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="memory: on Ray")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {
        "memory": lambda: measure_memory(asked.clips or [100, 1000, 10_000], asked.ray),
        "workers": lambda: measure_workers(asked.repetitions, (asked.clips or [300])[0]),
        "access": lambda: measure_access((asked.clips or [400])[0], 5),
    }[asked.what]()
    table = Table("figure", "value", title=asked.what)
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
