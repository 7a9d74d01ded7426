"""What Ray is told of checkpoints, what is gone on from, and what workers leave for the run to read."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train

from d2vlm_pipeline.artifacts import Interrupted, UserError
from d2vlm_pipeline.training.distributed.reported import ReportedPlace
from d2vlm_pipeline.training.distributed.worker import refusal_in, refuse


@dataclass(frozen=True)
class Shelf:
    """A place that holds what it is said to hold."""

    newest: Path | None

    def latest(self, engine: Any) -> Path | None:
        return self.newest

    def publish(self, engine: Any, step: int, points: Sequence[Any], write: Any) -> str:
        return str(self.newest)


@dataclass(frozen=True)
class Worker:
    rank: int


def report(monkeypatch: pytest.MonkeyPatch, place: ReportedPlace, rank: int) -> dict[str, Any]:
    """What is reported of a checkpoint."""
    told: dict[str, Any] = {}
    monkeypatch.setattr(ray.train, "report", lambda metrics, **more: told.update(metrics, **more))
    place.publish(Worker(rank), 4, [], lambda folder: None)
    return told


def test_ray_is_told_by_all_workers_and_pointed_at_the_checkpoint_by_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = tmp_path / "step-00000004", tmp_path / "step-00000008"
    told = report(monkeypatch, ReportedPlace(Shelf(newer), tmp_path), rank=0)
    assert report(monkeypatch, ReportedPlace(Shelf(newer), tmp_path), rank=1)["checkpoint"] is None
    assert told["step"] == 4
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: SimpleNamespace(path=told["checkpoint"].path))
    assert ReportedPlace(Shelf(newer), tmp_path).latest(Worker(0)) == newer
    assert not caplog.records
    # Where what was reported is gone, the newest that is whole is gone on from, which is said.
    with caplog.at_level(logging.WARNING):
        assert ReportedPlace(Shelf(older), tmp_path).latest(Worker(0)) == older
    assert "step-00000008 was reported, but cannot be gone on from; going on from" in caplog.text


def test_a_first_start_finds_what_a_run_left_of_which_ray_knows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: None)
    assert ReportedPlace(Shelf(tmp_path), tmp_path).latest(Worker(0)) == tmp_path
    assert ReportedPlace(Shelf(None), tmp_path).latest(Worker(0)) is None


def test_what_a_worker_refuses_is_what_the_run_says(tmp_path: Path) -> None:
    assert refusal_in(tmp_path) is None
    refuse(tmp_path, UserError("lower it"))
    found = refusal_in(tmp_path)
    assert type(found) is UserError and str(found) == "lower it"
    refuse(tmp_path, Interrupted("stopped", 15))
    found = refusal_in(tmp_path)
    assert isinstance(found, Interrupted) and (str(found), found.exit_code) == ("stopped", 143)
