"""What a training checkpoint costs beside a step: CPU seconds, on the clips and the model of a finished run.

    python -m benchmarks.checkpoints --data data

Every step is followed by a checkpoint; steps and checkpoints are timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from d2vlm_pipeline.features import FeatureStore, StoredClips
from d2vlm_pipeline.model import load_model
from d2vlm_pipeline.timeline import Sample, read_jsonl
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.loop import _Loop
from d2vlm_pipeline.training.phases import train_sft
from d2vlm_pipeline.training.progress import Progress
from d2vlm_pipeline.video import VideoRow

CLIPS_PER_STEP = 3
"""As `sft` in conf/base."""


def timed(run: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same, every call's CPU seconds noted."""

    def call(*given: Any) -> Any:
        begun = time.process_time()
        result = run(*given)
        spent.append(time.process_time() - begun)
        return result

    return call


def measure(data: Path, steps: int) -> dict[str, float]:
    """Medians of a step and of a checkpoint in CPU seconds, its megabytes, steps at which it takes 1 %."""
    start = load_model(data / "06_models/sft")
    contract = start.contract
    rows = [row for _, row in read_jsonl(data / "02_intermediate/videos.jsonl", VideoRow)]
    samples = [sample for _, sample in read_jsonl(data / "03_primary/samples.jsonl", Sample)]
    store = FeatureStore(data / "04_feature/store")
    clips = StoredClips.of(store, rows, contract.sampling, contract.encoder_digest)
    of_steps: list[float] = []
    of_checkpoints: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig.model_validate(
            {
                "steps": steps,
                "clips_per_step": CLIPS_PER_STEP,
                "borrowed_absent": 1,
                "threads": 1,
                "log_every": 50,
                "checkpoints": {"folder": folder, "every_steps": 1},
            }
        )
        _Loop._step = timed(_Loop._step, of_steps)  # type: ignore[method-assign]
        Progress.save = timed(Progress.save, of_checkpoints)  # type: ignore[method-assign]
        train_sft(start, samples, clips, config)
        newest = max(Path(folder).glob("sft/step-*"))
        size = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
    step_s, checkpoint_s = statistics.median(of_steps), statistics.median(of_checkpoints)
    return {
        "step_s": step_s,
        "checkpoint_s": checkpoint_s,
        "checkpoint_mb": size / 1e6,
        "steps_for_one_percent": 100 * checkpoint_s / step_s,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = measure(asked.data, asked.steps)
    for name, value in found.items():
        print(f"{name:24} {value:.4g}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
