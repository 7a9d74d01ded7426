"""Short trainings on a model of a few thousand weights, and what their losses were.

    python -m invariants.trajectories         shows them beside the record
    python -m invariants.trajectories --record

with tests/ and src/ on the path. Record again when a change is meant to move a trajectory, and say so in the
changelog; the record says on what it was made: last bits differ between processors and versions of torch.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model import ModelBundle, build_model
from d2vlm_pipeline.model.config import PoolConfig
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.training.config import OptimConfig, TrainConfig
from d2vlm_pipeline.training.phases import train_align, train_fpo, train_sft
from d2vlm_pipeline.training.running import Trained
from model import tiny

RECORD = Path(__file__).with_name("trajectories.json")
RELATIVE = 1e-3
"""Tolerance on another platform: six steps, each of which carries on from the last bits of the others."""

FRAMES = {"a.mp4": 8, "b.mp4": 6, "c.mp4": 7, "d.mp4": 5}
LORA = {"kind": "lora", "rank": 2, "alpha": 4.0, "dropout": 0.1, "targets": "linear"}


def clips(folder: Path) -> StoredClips:
    """Clips of random features, the same ones always."""
    return tiny.stored_clips(folder, FRAMES)


def start(dropout: float = 0.1) -> ModelBundle:
    config = tiny.config(projector=PoolConfig(cell_size=8, dropout=dropout))
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples() -> list[Sample]:
    forms = ("tvg", "dvc", "tem", "rar", "absent")
    return [tiny.sample(form, id=f"{video}-{form}", video=video) for video in FRAMES for form in forms]


def pairs() -> list[PreferencePair]:
    return [tiny.pair(sample) for sample in samples() if sample.events]


def config(**changes: Any) -> TrainConfig:
    given: dict[str, Any] = {"steps": 6, "clips_per_step": 2, "branches_per_clip": 3, "threads": 1}
    return TrainConfig.model_validate(
        {**given, "log_every": 1, "optim": OptimConfig(learning_rate=1e-2), **changes}
    )


def phases(shown: StoredClips) -> dict[str, Callable[[], Trained]]:
    """What is trained, by name."""
    return {
        "align": lambda: train_align(start(), samples(), shown, config(), frames_per_clip=2),
        "sft": lambda: train_sft(start(), samples(), shown, config()),
        "fpo": lambda: train_fpo(start(), samples(), pairs(), shown, config()),
        "lora": lambda: train_sft(start(), samples(), shown, config(tuning=LORA)),
    }


def losses(trained: Trained) -> list[float]:
    return [point["loss"] for point in trained.curve.points]


def here() -> dict[str, str]:
    """What last bits depend on."""
    return {
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    said = Path("/proc/cpuinfo")
    lines = said.read_text(encoding="utf-8").splitlines() if said.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def main() -> None:
    """Train, and show or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {name: losses(train()) for name, train in phases(clips(Path(folder))).items()}
    if asked.record:
        text = json.dumps({"platform": here(), "losses": found}, indent=1) + "\n"
        RECORD.write_text(text, encoding="utf-8")
    known = json.loads(RECORD.read_text(encoding="utf-8"))["losses"]
    for name, values in found.items():
        for step, (value, recorded) in enumerate(zip(values, known[name], strict=True), start=1):
            print(f"{name:6} step {step}  {value!r:22} recorded {recorded!r}")


if __name__ == "__main__":
    main()
