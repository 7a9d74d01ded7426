"""Phases in workers of Ray Train: the same weights as without, and what a lost worker costs."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.training.distributed.launch import Phase, launch
from d2vlm_pipeline.training.phases import train_sft
from d2vlm_pipeline.training.running import Trained
from d2vlm_pipeline.training.workers import TrainWorkers
from training.distributed import dying
from training.test_phases import clips, config, samples, start, weights

__all__ = ["clips"]  # a fixture


def trained(
    tmp_path: Path,
    clips: StoredClips,
    settings: dict[str, Any],
    dropout: float = 0.2,
    killed: int = 0,
    **train: Any,
) -> Trained:
    conf = config(**settings)
    workers = TrainWorkers.model_validate({"storage": str(tmp_path / "ray"), **train})
    phase: Phase = partial(train_sft, samples=samples(), clips=clips, config=conf)
    if killed:
        assert conf.checkpoints is not None
        first = Path(conf.checkpoints.folder) / "sft" / f"step-{conf.checkpoints.every_steps:08d}"
        cloudpickle.register_pickle_by_value(dying)  # workers cannot import it
        phase = dying.Killed(phase, first, tmp_path / "deaths", killed)
    return launch("sft", phase, start(dropout), conf, workers, RaySettings())


@pytest.mark.slow
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


def kept(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder), "every_steps": 4}


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.usefixtures("ray_here")
def test_a_killed_worker_costs_the_steps_behind_the_last_checkpoint_and_nothing_else(
    tmp_path: Path, clips: StoredClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All start again, go on where they were, and end with the bytes of a run that nothing disturbed."""
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    settings = {"steps": 12, "log_every": 6}
    whole = trained(tmp_path, clips, {**settings, "checkpoints": kept(tmp_path / "whole")}, workers=2)
    again = trained(
        tmp_path,
        clips,
        {**settings, "checkpoints": kept(tmp_path / "again")},
        killed=1,
        workers=2,
        max_failures=1,
    )
    assert (tmp_path / "deaths").read_text() == "x"
    assert weights(again.bundle) == weights(whole.bundle)
    assert again.curve == whole.curve


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_workers_that_die_too_often_are_one_line_and_a_second_run_goes_on(
    tmp_path: Path, clips: StoredClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    settings = {"steps": 12, "checkpoints": kept(tmp_path / "kept")}
    said = r"^sft: lost training workers \(rank .*\) more than 0 times, .*; run it again to go on from its"
    with pytest.raises(UserError, match=said) as error:
        trained(tmp_path, clips, settings, killed=1, launcher="ray")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "ray").iterdir())
    found = trained(tmp_path, clips, settings, launcher="ray")
    here = trained(tmp_path, clips, {"steps": 12})
    assert weights(found.bundle) == weights(here.bundle) and found.curve == here.curve


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_what_the_phase_refuses_is_its_own_line_and_no_failure(tmp_path: Path, clips: StoredClips) -> None:
    wild = {"steps": 4, "learning_rate": 1e30}
    with pytest.raises(UserError, match=r"^sft: the .* is .* at step \d+; lower optim\.learning_rate$"):
        trained(tmp_path, clips, wild, launcher="ray", max_failures=3)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_workers_that_do_not_fit_on_this_machine_are_refused_before_they_start(
    tmp_path: Path, clips: StoredClips
) -> None:
    said = r"^train asks for 40 CPUs, and Ray has 4 here; lower train\.workers or train\.cpus_per_worker"
    with pytest.raises(UserError, match=said):
        trained(tmp_path, clips, {"steps": 1}, workers=2, cpus_per_worker=20)
