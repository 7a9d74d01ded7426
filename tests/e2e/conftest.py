"""One smoke run over damaged data and one over an empty root, shared by all end-to-end tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Smaller than the smoke environment: what is shown here is the chain, twice.
PARAMETERS = {
    "world": {"splits": {"train": 5, "val": 1, "calib": 1, "test_iid": 3}},
    "sft": {"steps": 3},
    "fpo": {"steps": 2},
    "answering": {"max_new_tokens": 24},
    "compute": {"threads": 1},  # where processes share the tests, more would be in each other's way
}


@dataclass(frozen=True)
class Project:
    """A copy of the project with its own data, and a way to run it in this process."""

    root: Path
    run: Callable[[Sequence[str] | None], None]

    @property
    def data(self) -> Path:
        """Data root of the smoke environment."""
        return self.root / "data" / "smoke"

    def report(self, name: str) -> dict[str, Any]:
        """A JSON report of the last run."""
        record: dict[str, Any] = json.loads((self.data / "08_reporting" / name).read_text())
        return record


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Configuration and sources, no data."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(ROOT / "great_expectations", root / "great_expectations")
    (root / "conf" / "local").mkdir()
    (root / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root)

    def run(from_nodes: Sequence[str] | None) -> None:
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(root)
        with KedroSession.create(project_path=root, env="smoke", runtime_params=PARAMETERS) as session:
            session.run(from_nodes=from_nodes)

    return Project(root, run)


@pytest.fixture(scope="session")
def damaged_run(project: Project) -> Project:
    """A whole run whose footage and annotations were damaged after rendering."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project.root)
    with KedroSession.create(project_path=project.root, env="smoke", runtime_params=PARAMETERS) as session:
        session.run(node_names=["render_clips", "annotate_clips"])
    damage(project.data / "01_raw")
    project.run(["probe_videos", "read_annotations"])
    return project


@pytest.fixture(scope="session")
def whole_run(damaged_run: Project) -> Project:
    """A project with all that a run leaves, for whoever only looks at it."""
    if not (damaged_run.data / "08_reporting" / "promotion.json").is_file():
        damaged_run.run(None)
    return damaged_run


def damage(raw: Path) -> None:
    """A clip cut in half, a clip that is text, a clip that is gone; five bad lines."""
    world, annotations = raw / "world", raw / "annotations.jsonl"
    cut = world / "train-0001.mp4"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (world / "train-0002.mp4").write_text("not a video")
    (world / "train-0003.mp4").unlink()
    lines = annotations.read_text().splitlines()
    good = next(line for line in lines if '"train-0000.mp4"' in line and '"dvc"' in line)
    late = json.loads(good)
    late["id"] = "late"
    late["events"][-1]["end_s"] = 900.0
    odd = {**json.loads(good), "id": "odd", "colour": "red"}
    annotations.write_text("\n".join([*lines, good, json.dumps(late), json.dumps(odd), "{broken"]) + "\n")
