"""Phases in workers of Ray Train: the same weights as without, and what a lost worker costs."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.training.distributed.launch import launch
from d2vlm_pipeline.training.phases import train_sft
from d2vlm_pipeline.training.running import Trained
from d2vlm_pipeline.training.workers import TrainWorkers
from training.test_phases import clips, config, samples, start, weights

__all__ = ["clips"]  # a fixture


def trained(
    tmp_path: Path, clips: StoredClips, settings: dict[str, Any], dropout: float = 0.2, **train: Any
) -> Trained:
    conf = config(**settings)
    workers = TrainWorkers.model_validate({"storage": str(tmp_path / "ray"), **train})
    phase = partial(train_sft, samples=samples(), clips=clips, config=conf)
    return launch("sft", phase, start(dropout), conf, workers, RaySettings())


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.usefixtures("ray_here")
def test_one_worker_of_ray_trains_the_same_bytes(tmp_path: Path, clips: StoredClips) -> None:
    here = trained(tmp_path, clips, {"steps": 4})
    there = trained(tmp_path, clips, {"steps": 4}, launcher="ray")
    assert weights(there.bundle) == weights(here.bundle)
    assert there.curve == here.curve
    assert not list((tmp_path / "ray").iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_two_workers_train_the_same_every_time_and_nearly_what_one_does(
    tmp_path: Path, clips: StoredClips
) -> None:
    alone = trained(tmp_path, clips, {"steps": 6}, dropout=0.0)
    once, again = (trained(tmp_path, clips, {"steps": 6}, dropout=0.0, workers=2) for _ in range(2))
    assert weights(once.bundle) == weights(again.bundle) and once.curve == again.curve
    for name, values in weights(alone.bundle).items():
        assert weights(once.bundle)[name] == pytest.approx(values, rel=1e-3, abs=1e-4), name
