"""Projects whose registry holds what a test is about."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.orchestration.registry_settings import project_keyring
from d2vlm_pipeline.registry import promote, versions
from d2vlm_pipeline.registry.keys import KEY_VARIABLE
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from registry.moves import aliases, pack_lightly
from registry.records import FLOOR, dossier, policy

ROOT = Path(__file__).parents[2]


@dataclass
class Project:
    """A project of a test's own; its policy asks for one floor."""

    root: Path

    @property
    def tracking(self) -> TrackingConfig:
        return tracking_config(self.root, "base")

    def offer(self, directory: Path, tvg: float = 50.0):
        keyring = project_keyring(self.root, "base")
        return promote(directory, dossier(tvg=tvg), policy(), self.tracking, keyring=keyring)

    def models(self, *arguments: str) -> Result:
        result = CliRunner().invoke(main, ["models", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    def json(self, *arguments: str) -> Any:
        result = self.models(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refused(self, *arguments: str) -> str:
        """The one line with which a command ends that changes nothing."""
        before = self.state()
        result = self.models(*arguments)
        assert result.exit_code == 2 and result.stdout == "", result.stdout
        (line,) = result.stderr.splitlines()
        assert self.state() == before
        return line

    def state(self) -> Any:
        """Aliases, versions, log and runs; None without a store."""
        if not (self.root / "mlruns/mlflow.db").exists():
            return None
        client = tracking_client(self.tracking)
        experiments = client.search_experiments()
        runs = client.search_runs([one.experiment_id for one in experiments])
        versions = client.search_model_versions("name = 'd2vlm'")
        return aliases(self.tracking), len(versions), [dict(run.data.params) for run in runs]

    def write(self, name: str, record: Any) -> None:
        text = record if isinstance(record, str) else yaml.safe_dump(record)
        (self.root / "conf" / name).write_text(text)


def made_project(root: Path, database: Path) -> Project:
    """The project's own configuration, with another policy, and an empty store."""
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    (root / "conf/local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "mlruns").mkdir()
    shutil.copy(database, root / "mlruns/mlflow.db")
    made = Project(root)
    made.write("base/promotion.yml", {"promotion": policy(FLOOR).model_dump(mode="json")})
    return made


def three_versions(project: Project) -> None:
    """Version 2 is champion, 1 was it before, 3 did not win."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KEY_VARIABLE, raising=False)
        patch.setattr(versions, "pack_model", pack_lightly)
        for weights, tvg in (("first", 50.0), ("second", 55.0), ("third", 40.0)):
            with atomic_directory(project.root / "models" / weights) as inside:
                (inside / "model.safetensors").write_text(weights)
                (inside / "config.json").write_text("{}")
            project.offer(project.root / "models" / weights, tvg)
