"""Our decoding against OpenCV, torchcodec and plain PyAV: CPU seconds for sparse and for all frames.

    python -m benchmarks.decode [--heights 360 720 1080] [--seconds 20] [--repetitions 3] [--json OUT]

H.264 at 30 frames a second with B-frames, a keyframe every 60 frames; output 224 x 224; two decoder threads;
user and system time of this process and of the worker. The same presentation times are demanded of all.
torchcodec needs FFmpeg's shared libraries on the system.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.footage import FPS, write_footage
from benchmarks.readers import Reader, others, ours, sandboxed
from d2vlm_pipeline.video import DecodePool

EVERY = {"0.5 fps": 2 * FPS, "1 fps": FPS, "2 fps": FPS // 2, "all": 1}
OURS, SANDBOX = "ours", "in the sandbox"
SAME_TIME_S = 1e-3


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that this process and the processes `pids` have used so far, all their threads together."""
    # How Linux numbers the CPU clock of another process: see clock_getcpuclockid(3).
    return time.process_time() + sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def measured(
    readers: Mapping[str, Reader],
    path: Path,
    expected: list[float],
    every: int,
    repetitions: int,
    pool: DecodePool,
) -> dict[str, float]:
    """Median CPU seconds by reader, interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for repetition in range(repetitions + 1):
        for name, reader in readers.items():
            begun = cpu_s(pool.pids)
            found = reader(path, every)
            spent = cpu_s(pool.pids) - begun
            check_times(name, found.times_s, expected)
            if repetition > 0:  # the first warms up
                seconds[name].append(spent)
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def check_times(name: str, times_s: list[float], expected: list[float]) -> None:
    """Stop where a reader gave other frames: its time would mean nothing."""
    if len(times_s) != len(expected) or any(
        abs(found - wanted) > SAME_TIME_S for found, wanted in zip(times_s, expected, strict=True)
    ):
        raise AssertionError(f"{name} presents {times_s[:5]} …, expected {expected[:5]} …")


def measure(
    readers: Mapping[str, Reader],
    folder: Path,
    heights: list[int],
    seconds: int,
    repetitions: int,
    pool: DecodePool,
) -> Iterator[tuple[int, str, dict[str, float]]]:
    """(height, rate, CPU seconds by reader) of every setting."""
    for height in heights:
        path = write_footage(folder, height, seconds)
        print(f"{path.name}: {path.stat().st_size * 8 / seconds / 1e6:.1f} Mbit/s", flush=True)
        for rate, every in EVERY.items():
            expected = [number / FPS for number in range(0, seconds * FPS, every)]
            yield height, rate, measured(readers, path, expected, every, repetitions, pool)


def ratio(found: Mapping[str, float]) -> float:
    """How many times the best of the others our reader takes."""
    return found[OURS] / min(spent for name, spent in found.items() if name not in (OURS, SANDBOX))


def summary(results: list[tuple[int, str, dict[str, float]]]) -> dict[str, float]:
    """What is claimed of all settings together."""
    ratios = [ratio(found) for _, _, found in results]
    sparse = [found[SANDBOX] / found[OURS] for _, rate, found in results if rate != "all"]
    return {
        "settings": len(ratios),
        "settings_as_fast": sum(value <= 1.0 for value in ratios),
        "worst_ratio": max(ratios),
        "sandbox_worst_sparse": max(sparse),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heights", type=int, nargs="+", default=[360, 720, 1080])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the clips here for the next time")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rivals, missing = others()
    with tempfile.TemporaryDirectory() as scratch, DecodePool(1) as pool:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        readers = {OURS: ours, SANDBOX: sandboxed(pool), **rivals}
        results = list(
            measure(readers, folder, asked.heights, asked.seconds, asked.repetitions, pool)
        )
    title = f"clips of {asked.seconds} s, CPU seconds, medians of {asked.repetitions}"
    table = Table("height", "frames", *readers, *missing, "ours / best", title=title)
    values: dict[str, float] = {}
    for height, rate, found in results:
        figures = [f"{found[name]:.3f}" for name in readers] + ["–" for _ in missing]
        table.add_row(f"{height}p", rate, *figures, f"{ratio(found):.2f}")
        values |= {f"{height}p/{rate}/{name}": spent for name, spent in found.items()}
    Console(width=130).print(table)
    for name, reason in missing.items():
        print(f"{name} is unavailable: {reason}")
    values |= summary(results)
    print(json.dumps(summary(results)))
    if asked.json:
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
