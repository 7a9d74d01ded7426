"""A step of the training loop in a worker of Ray Train against one in a process of its own.

    python -m benchmarks.ray_train [--steps 60] [--repetitions 5] [--json OUT]

The same phase with the same engine, one thread, by turns; what counts is a step once it runs, not the start.
CPU seconds are those of the process that trains, all its threads; wall-clock seconds need an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.workload import Shape, build, examples, packed
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.orchestration.ray_session import ray_session
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.curve import Curve
from d2vlm_pipeline.training.distributed.launch import launch
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.host import Host
from d2vlm_pipeline.training.loop import run_phase
from d2vlm_pipeline.training.running import Trained
from d2vlm_pipeline.training.steps import sft_step
from d2vlm_pipeline.training.workers import TrainWorkers

# About as heavy as a step of the default environment's model.
SHAPE = Shape(frames=48, batch=3, hidden=192, layers=5, heads=6)
STRETCH = 5
"""Steps between two readings of the clocks."""
MOST_PERCENT = 5.0
"""What a step may cost more in a worker of Ray Train than without."""


@dataclass
class Clocks:
    """Readings of both clocks as points of the curve are made, in place of the curve."""

    points: list[dict[str, float]] = field(default_factory=list)

    def __call__(self, point: Mapping[str, float]) -> None:
        """Read them."""
        self.points.append(
            {"step": point["step"], "wall_s": time.perf_counter(), "cpu_s": time.process_time()}
        )


def phase(start: ModelBundle, *, host: Host, config: TrainConfig) -> Trained:
    """The loop on one batch, again and again; what it gives for a curve are readings of the clocks."""
    clocks, model = Clocks(), start.model
    batch = packed(examples(SHAPE), share_clip=False)
    engine: PlainEngine[Any] = PlainEngine(model, partial(sft_step, model, config=config.sft), config)
    run_phase("sft", model, engine, lambda taken: itertools.repeat([batch]), config, on_point=clocks)
    return Trained(start, Curve(clocks.points))


def per_step(points: list[dict[str, float]], clock: str) -> list[float]:
    """Seconds of a step, stretch by stretch; the first stretches are a warm-up."""
    readings = [point[clock] for point in points][2:]
    return [(later - earlier) / STRETCH for earlier, later in itertools.pairwise(readings)]


def measure(steps: int, repetitions: int) -> dict[str, float]:
    """Median seconds of a step by way and clock, and what a step costs in a worker of one without, in %."""
    config = TrainConfig(steps=steps, log_every=STRETCH, threads=1, clips_per_step=SHAPE.batch)
    start = ModelBundle(build(SHAPE), None, None)  # type: ignore[arg-type]  # nothing here reads text
    found: dict[tuple[str, str], list[float]] = {}
    settings = RaySettings(object_store_mb=128)
    with tempfile.TemporaryDirectory() as folder, ray_session(settings):
        for _ in range(repetitions):
            for way in ("process", "ray"):
                train = TrainWorkers.model_validate({"launcher": way, "storage": str(Path(folder, "ray"))})
                trained = launch("sft", partial(phase, config=config), start, config, train, settings)
                for clock in ("cpu_s", "wall_s"):
                    found.setdefault((way, clock), []).extend(per_step(trained.curve.points, clock))
    seconds = {f"{way}_{clock}": statistics.median(values) for (way, clock), values in found.items()}
    return seconds | {
        f"overhead_{clock}_percent": 100 * (seconds[f"ray_{clock}_s"] / seconds[f"process_{clock}_s"] - 1)
        for clock in ("cpu", "wall")
    }


def main() -> None:
    """Print the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    found = measure(given.steps, given.repetitions)
    title = f"a step, median; at most {MOST_PERCENT:g} %"
    table = Table("clock", "process ms", "Ray Train ms", "overhead %", title=title)
    for clock in ("cpu", "wall"):
        cells = [1000 * found[f"process_{clock}_s"], 1000 * found[f"ray_{clock}_s"]]
        table.add_row(clock, *(f"{cell:.1f}" for cell in cells), f"{found[f'overhead_{clock}_percent']:+.1f}")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
