"""The whole chain under DVC, in a world of seconds, and again in fresh clones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestration.dvc.repository import ROOT, Repository

pytestmark = pytest.mark.slow

STAGES = "stages/faults/dvc.yaml"
DATA = Path("data/faults")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The project with all of its code, run by DVC, committed, and pushed to a remote."""
    root = tmp_path_factory.mktemp("project")
    for name in ("conf", "great_expectations", "src"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    (root / "conf" / "local").mkdir()
    (root / "conf" / "local" / ".gitkeep").touch()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root)
    repository = Repository(root, (root / "src",))
    repository.begin()
    repository.dvc("remote", "add", "--default", "store", str(root.parent / "store"))
    repository.kedro("dvc", "sync", "--env", "faults")
    repository.dvc("repro", STAGES)
    repository.commit()
    repository.dvc("push")
    return repository


def headline(repository: Repository) -> bytes:
    return (repository.root / DATA / "08_reporting" / "headline.json").read_bytes()


def test_a_fresh_clone_has_the_metrics_and_promotes_the_champion(made: Repository, tmp_path: Path) -> None:
    clone = made.clone(tmp_path / "clone")
    clone.dvc("pull")
    done = clone.dvc("repro", STAGES)
    assert "Data and pipelines are up to date." in done and "Running stage" not in done
    assert headline(clone) == headline(made)
    clone.kedro("run", "--env", "faults", "--pipelines", "promotion")
    decision = json.loads((clone.root / DATA / "08_reporting" / "promotion.json").read_text())
    assert decision["moved"]
    assert clone.git("status", "--short") == ""


def test_computed_again_everything_is_the_same_to_the_byte(made: Repository, tmp_path: Path) -> None:
    clone = made.clone(tmp_path / "again")
    clone.dvc("repro", STAGES)
    assert headline(clone) == headline(made)
    assert clone.git("status", "--short") == "", "dvc.lock holds a digest of all that was written"
