"""`kedro run` whose phases train in workers of Ray Train: DDP and ZeRO, and what a run keeps of either."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from faults.runs import completed, copy_project

pytestmark = pytest.mark.slow

PHASES = ("sft", "fpo")
# Without dropout, of which every worker draws its own; the backbone that ships has some.
SHARED = [
    "start.kind=scratch",
    "model.projector.dropout=0.0",
    *(f"{phase}.{part}" for phase in PHASES for part in ("clips_per_step=2", "precision=float32")),
]
ZERO = [f"{phase}.sharding.zero_stage=2" for phase in PHASES]
# Sums of gradients differ in their last digits with the order they are added in; measured was 2e-6.
WITHIN = 1e-4


def run(root: Path, pipelines: str, *params: str) -> None:
    completed(root, "--pipelines", pipelines, *(["--params", ",".join(params)] if params else []))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all that phases learn from."""
    root = copy_project(tmp_path_factory.mktemp("prepared") / "project")
    run(root, "ingestion,features,preferences")
    return root


def trained(prepared: Path, root: Path, pipelines: str, *params: str) -> Path:
    """Data of a copy of the project in which these pipelines have run."""
    shutil.copytree(prepared, root, ignore=shutil.ignore_patterns("mlruns"))
    run(root, pipelines, *params)
    return root / "data/faults"


def curve(data: Path, phase: str) -> dict[str, Any]:
    (path,) = data.rglob(f"{phase}_curves.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SFT, FPO and the model that sees nothing, trained in the run's own process."""
    return trained(prepared, tmp_path_factory.mktemp("alone") / "project", "sft,fpo,blind", *SHARED)


def assert_learned_alike(found: Path, alone: Path, phases: tuple[str, ...]) -> None:
    for phase in phases:
        ours, theirs = curve(found, phase)["points"], curve(alone, phase)["points"]
        assert [point["loss"] for point in ours] == pytest.approx(
            [point["loss"] for point in theirs], rel=WITHIN
        )


def test_two_workers_learn_what_one_process_does_in_every_phase(
    prepared: Path, alone: Path, tmp_path: Path
) -> None:
    data = trained(prepared, tmp_path / "project", "sft,fpo,blind", *SHARED, "train.workers=2")
    assert_learned_alike(data, alone, ("sft", "fpo", "blind"))
    assert "deepspeed" not in curve(data, "sft")


def test_partitioned_states_learn_the_same_and_their_settings_are_kept_with_the_run(
    prepared: Path, alone: Path, tmp_path: Path
) -> None:
    data = trained(prepared, tmp_path / "project", "sft,fpo", *SHARED, *ZERO, "train.workers=2")
    assert_learned_alike(data, alone, PHASES)
    for phase in PHASES:
        settings = curve(data, phase)["deepspeed"]
        assert settings["zero_optimization"]["stage"] == 2 and settings["train_batch_size"] == 2
        (logged,) = (tmp_path / "project/mlruns").rglob(f"deepspeed/{phase}.json")
        assert json.loads(logged.read_text()) == settings


def test_a_phase_that_is_not_shared_trains_the_same_bytes_in_a_worker(prepared: Path, tmp_path: Path) -> None:
    here = trained(prepared, tmp_path / "here", "align")
    there = trained(prepared, tmp_path / "there", "align", "train.workers=2")
    (model,) = here.rglob("aligned*/**/model.safetensors")
    assert (there / model.relative_to(here)).read_bytes() == model.read_bytes()
