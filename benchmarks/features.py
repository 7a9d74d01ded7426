"""Features at scale: memory against the number of clips, two workers against one, random access.

    python -m benchmarks.features memory [--clips 100 1000 10000] [--ray] [--json OUT]
    python -m benchmarks.features workers [--repetitions 3] [--json OUT]
    python -m benchmarks.features access [--json OUT]

memory: peak of the whole process tree while features of so many byte-distinct 2-second clips are extracted
and stored, one frame of each. PSS, where what processes share counts once (RSS beside it counts it for each).

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
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from d2vlm_pipeline.artifacts import atomic_directory, digest_bytes
from d2vlm_pipeline.features import (
    ClipFeatures,
    EfficientNetConfig,
    FeatureStore,
    FeatureStream,
    LostClip,
    build_encoder,
    extract_features,
    save_store,
    write_store,
)
from d2vlm_pipeline.features.index import INDEX_NAME
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase, dump_jsonl, read_jsonl
from d2vlm_pipeline.video import DecodeLimits, VideoRow

CLIP_S = 2.0
SHAPES = 4
WARM_UP = 24
SAMPLE_EVERY_S = 0.2
ENCODER = EfficientNetConfig()


def write_clips(folder: Path, count: int, side: tuple[int, int], fps: int) -> list[VideoRow]:
    """2-second clips of moving noise, no two alike: a few are encoded, the rest differ in an empty box."""
    made = [_encoded(folder / "made.mp4", seed, side, fps) for seed in range(SHAPES)]
    rows = []
    for number in range(count):
        # A `free` box, which every reader of MP4 skips.
        data = made[number % SHAPES] + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        path = folder / f"{number:06d}.mp4"
        path.write_bytes(data)
        rows.append(VideoRow(video=path.name, path=str(path), digest=digest_bytes(data), status="ok"))
    return rows


def _encoded(path: Path, seed: int, side: tuple[int, int], fps: int) -> bytes:
    import av

    rng, (width, height) = np.random.default_rng(seed), side
    picture_HWC = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": "28", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(int(CLIP_S * fps)):
            moved_HWC = np.ascontiguousarray(np.roll(picture_HWC, 2 * index, axis=1))
            output.mux(stream.encode(av.VideoFrame.from_ndarray(moved_HWC, format="rgb24")))
        output.mux(stream.encode())
    data = path.read_bytes()
    path.unlink()
    return data


def job(folder: Path, workers: int, cpus: Sequence[int], fps: float, on_ray: bool) -> dict[str, float]:
    """Extract and store features of a folder's clips as the pipeline does; seconds per clip after warm-up."""
    os.sched_setaffinity(0, cpus)
    policy = SamplingPolicy(fps=fps)
    rows = [row for _, row in read_jsonl(folder / "videos.jsonl", VideoRow)]
    clock = _Clock(len(rows))
    find = _extraction(workers, on_ray)

    def compute(missing: Sequence[VideoRow]) -> Generator[ClipFeatures | LostClip, None, None]:
        for clip in find(missing, policy, ENCODER, DecodeLimits()):
            clock.tick()
            yield clip

    stream = FeatureStream.of(rows, policy.digest, build_encoder(ENCODER).digest, compute)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "store"
        with atomic_directory(place) as directory:
            save_store(stream, directory, place.with_name("cache"), place)
        assert len((place / INDEX_NAME).read_bytes().splitlines()) == len(rows)
    return clock.found


def _extraction(workers: int, on_ray: bool) -> Any:
    if not on_ray:
        return partial(extract_features, workers=workers)
    from d2vlm_pipeline.orchestration.ray_features import extract_on_ray
    from d2vlm_pipeline.orchestration.ray_settings import RaySettings

    return partial(extract_on_ray, settings=RaySettings(enabled=True, object_store_mb=128, storage="unused"))


class _Clock:
    """Wall and CPU seconds per clip between the end of the warm-up and the last clip."""

    def __init__(self, clips: int) -> None:
        self._clips, self._seen = clips, 0
        self._begun = (0.0, 0.0)
        self.found: dict[str, float] = {}

    def tick(self) -> None:
        """One more clip is there."""
        self._seen += 1
        if self._seen == WARM_UP:
            self._begun = (time.perf_counter(), tree_cpu_s())
        if self._seen == self._clips and self._clips > WARM_UP:
            wall_s, cpu_s = time.perf_counter() - self._begun[0], tree_cpu_s() - self._begun[1]
            timed = self._clips - WARM_UP
            self.found = {"wall_s": wall_s / timed, "cpu_s": cpu_s / timed}


def tree_cpu_s() -> float:
    """CPU seconds of this process and all below it."""
    import psutil

    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def start_job(
    folder: Path, workers: int, cpus: Sequence[int], fps: float, on_ray: bool = False
) -> subprocess.Popen[str]:
    """`job` in a process of its own, every numeric library with one thread."""
    given = [str(folder), str(workers), ",".join(map(str, cpus)), str(fps), str(int(on_ray))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.features", "job", *given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finished(process: subprocess.Popen[str]) -> dict[str, float]:
    """What the job found."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the job ended with {process.returncode}")
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def peak_mb(process: subprocess.Popen[str]) -> dict[str, float]:
    """Highest sums of PSS and of RSS over the job's process tree, in MB, until it ends."""
    peak = {"pss_mb": 0.0, "rss_mb": 0.0}
    while process.poll() is None:
        pss, rss = _tree_bytes(process.pid)
        peak = {"pss_mb": max(peak["pss_mb"], pss / 1e6), "rss_mb": max(peak["rss_mb"], rss / 1e6)}
        time.sleep(SAMPLE_EVERY_S)
    return peak


def _tree_bytes(pid: int) -> tuple[int, int]:
    import psutil

    pss = rss = 0
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for process in tree:
        try:
            info = process.memory_full_info()
        except psutil.Error:  # it has just ended
            continue
        pss, rss = pss + info.pss, rss + info.rss
    return pss, rss


def measure_memory(counts: Sequence[int], on_ray: bool) -> dict[str, float]:
    """Peaks for each number of clips, and the largest over the smallest."""
    found: dict[str, float] = {}
    cpus = sorted(os.sched_getaffinity(0))
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rows = write_clips(folder, count, (160, 120), 8)
            (folder / "videos.jsonl").write_text(dump_jsonl(rows), encoding="utf-8")
            begun = time.perf_counter()
            process = start_job(folder, 2, cpus, 0.5, on_ray)
            peaks = peak_mb(process)
            finished(process)
        found |= {f"{name}_{count}": value for name, value in peaks.items()}
        found[f"seconds_{count}"] = time.perf_counter() - begun
    pss = [found[f"pss_mb_{count}"] for count in counts]
    return found | {"pss_largest_over_smallest": max(pss) / min(pss)}


def measure_workers(repetitions: int, clips: int) -> dict[str, float]:
    """One worker, two, and two separate runs of one, interleaved; medians."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_clips(folder, clips, (320, 240), 24)
        (folder / "videos.jsonl").write_text(dump_jsonl(rows), encoding="utf-8")
        start = partial(start_job, folder, fps=2.0)
        for _ in range(repetitions):
            one = finished(start(1, [first]))
            two = finished(start(2, [first, second]))
            apart = [finished(each) for each in [start(1, [first]), start(1, [second])]]
            values = {
                "one_wall_ms": one["wall_s"],
                "two_wall_ms": two["wall_s"],
                # Side by side, they finish twice the clips in the time of the slower.
                "apart_wall_ms": max(each["wall_s"] for each in apart) / 2,
                "one_cpu_ms": one["cpu_s"],
                "two_cpu_ms": two["cpu_s"],
                "apart_cpu_ms": sum(each["cpu_s"] for each in apart) / 2,
            }
            for key, value in values.items():
                seconds.setdefault(key, []).append(1e3 * value)
    found = {f"{key}_per_clip": median(values) for key, values in seconds.items()}
    speedup = found["one_wall_ms_per_clip"] / found["two_wall_ms_per_clip"]
    ceiling = found["one_wall_ms_per_clip"] / found["apart_wall_ms_per_clip"]
    return found | {
        "two_over_one": speedup,
        "ceiling": ceiling,
        "two_over_one_of_ceiling": speedup / ceiling,
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
        ways = {"first": lambda key: np.array(store.get(*key)[0])} | {
            "copy": lambda key: np.array(store.get(*key)[0]),
            "get": lambda key: store.get(*key)[0],
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
    parser.add_argument("what", choices=["memory", "workers", "access", "job"])
    parser.add_argument("given", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--clips", type=int, nargs="+")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="memory: on Ray")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.what == "job":
        folder, workers, cpus, fps, on_ray = asked.given
        allowed = [int(cpu) for cpu in cpus.split(",")]
        print(json.dumps(job(Path(folder), int(workers), allowed, float(fps), on_ray == "1")))
        return
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
