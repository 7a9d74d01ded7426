"""Every phase on three clips and a model of a few thousand weights; also a job that tests start and kill."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from d2vlm_pipeline.artifacts import Interrupted, UserError
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model import ModelBundle, build_model
from d2vlm_pipeline.model.config import PoolConfig
from d2vlm_pipeline.objectives import FPOConfig
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.training.config import LoopConfig, LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.phases import train_align, train_fpo, train_sft
from d2vlm_pipeline.training.running import Trained
from d2vlm_pipeline.training.warm_up import train_naming
from model import tiny

FRAMES = {"a.mp4": 8, "b.mp4": 6, "c.mp4": 5}
FORMS = ("tvg", "dvc", "rar", "absent")
STEPS = 7
"""Three epochs and a half; the curve has points behind steps 3, 6 and 7."""


def store(directory: Path) -> StoredClips:
    """Features of the clips."""
    return tiny.stored_clips(directory, FRAMES)


def start() -> ModelBundle:
    """Dropout is drawn at every step, so that a lost random state shows."""
    config = tiny.config(projector=PoolConfig(cell_size=8, dropout=0.2, context_frames=1))
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples() -> list[Sample]:
    return [tiny.sample(form, id=f"{video}-{form}", video=video) for video in FRAMES for form in FORMS]


def config(checkpoints: dict[str, Any] | None, **changes: Any) -> TrainConfig:
    given = {
        "steps": STEPS,
        "clips_per_step": 2,
        "branches_per_clip": 3,
        "threads": 1,
        "log_every": 3,
        "optim": OptimConfig(learning_rate=1e-2),
        "checkpoints": checkpoints,
    }
    return TrainConfig.model_validate(given | changes)


def _sft(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    return train_sft(start(), samples(), clips, config(checkpoints, **changes))


def _fpo(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    pairs = [tiny.pair(sample) for sample in samples() if sample.events]
    fpo = FPOConfig(reference=True)
    return train_fpo(start(), samples(), pairs, clips, config(checkpoints, fpo=fpo, **changes))


def _align(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    return train_align(start(), samples(), clips, config(checkpoints, **changes), frames_per_clip=2)


def _naming(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    given = {"steps": STEPS, "clips_per_step": 2, "threads": 1, "log_every": 3, "checkpoints": checkpoints}
    return train_naming(start(), samples(), clips, LoopConfig.model_validate(given | changes))


def _lora(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    return _sft(clips, checkpoints, tuning=LoraTuning(rank=2, dropout=0.3), **changes)


def _accumulating(clips: StoredClips, checkpoints: dict[str, Any] | None, **changes: Any) -> Trained:
    return _fpo(clips, checkpoints, micro_batch=1, **changes)


PHASES: dict[str, Callable[..., Trained]] = {
    "sft": _sft,
    "fpo": _fpo,
    "align": _align,
    "naming": _naming,
    "lora": _lora,
    "accumulating": _accumulating,
}


def outcome(trained: Trained) -> str:
    """Digest of weights and curve, to the bit."""
    sha = hashlib.sha256(json.dumps(trained.curve.points, sort_keys=True).encode())
    for name, tensor in sorted(trained.bundle.model.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def main(phase: str, folder: str, **changes: Any) -> None:
    """Train, and print what came of it."""
    checkpoints = {"folder": folder, "every_steps": 2}
    with tempfile.TemporaryDirectory() as directory:
        try:
            print(outcome(PHASES[phase](store(Path(directory)), checkpoints, **changes)))
        except UserError as error:
            print(error, file=sys.stderr)
            raise SystemExit(error.exit_code if isinstance(error, Interrupted) else 2) from None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
