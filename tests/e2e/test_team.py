"""The whole job against the team's server: two promotions, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.tracking import tracking_client
from faults.runs import ROOT, copy_project, environment
from registry.team import team_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def team() -> Iterator[Any]:
    with team_server() as running:
        yield running


def project_of_the_team(root: Path) -> Path:
    """A copy in which the environment `faults`, of which a run takes seconds, is the team's."""
    copy_project(root)
    (root / "conf/faults/mlflow.yml").write_bytes((ROOT / "conf/team/mlflow.yml").read_bytes())
    server = (ROOT / "conf/team/globals.yml").read_text(encoding="utf-8").splitlines()[-1]
    with (root / "conf/faults/globals.yml").open("a", encoding="utf-8") as globals_:
        globals_.write(f"{server}\n")
    return root


def run(root: Path, program: str, *arguments: str, team: Any) -> str:
    """What a command prints that ends well."""
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    surroundings = {**environment(), **team.environment}
    done = subprocess.run(command, cwd=root, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def check_page(client: Any, run_id: str) -> None:
    """The run's page in MLflow has what a person looks for."""
    note = client.get_run(run_id).data.tags["mlflow.note.content"]
    assert "### Scores on test-iid" in note and "**Promoted.**" in note
    for folder, file in (("report", "report.html"), ("promotion", "gates.json"), ("samples", "01-tvg.png")):
        assert f"{folder}/{file}" in {found.path for found in client.list_artifacts(run_id, folder)}
    assert {"sft/loss", "fpo/loss"} <= client.get_run(run_id).data.metrics.keys()


def test_train_evaluate_promote_and_roll_back_at_the_team_s_server(
    team: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in team.environment.items():
        monkeypatch.setenv(name, value)
    root = project_of_the_team(tmp_path / "project")
    said = run(root, "kedro", "run", "--env", "faults", team=team)
    assert team.address in said.replace("\n", "") and team.password not in said
    # Other clips, on which nothing can be compared: the gates alone decide.
    run(root, "kedro", "run", "--env", "faults", "--params", "world.seed=8", team=team)

    tracking = tracking_config(root, "faults")
    client = tracking_client(tracking)

    def at(alias: str) -> Any:
        return client.get_model_version_by_alias("d2vlm", alias)

    first, second = at("previous_champion"), at("champion")
    assert (str(first.version), str(second.version)) == ("1", "2")
    assert first.tags["digest"] != second.tags["digest"]
    for version in (first, second):
        assert client.get_run(version.run_id).info.artifact_uri.startswith("mlflow-artifacts:/")
    check_page(client, second.run_id)
    assert not list(root.rglob("mlflow.db")), "nothing is tracked anywhere else"

    rolled = json.loads(run(root, "d2vlm", "models", "rollback", "--env", "faults", "--json", team=team))
    assert str(rolled["version"]) == "1"
    assert (str(at("champion").version), str(at("previous_champion").version)) == ("1", "2")
    history = json.loads(run(root, "d2vlm", "models", "history", "--env", "faults", "--json", team=team))
    assert [str(entry["version"]) for entry in history] == ["1", "2", "1"]
