"""docs/promotion.md, typed as it stands, over smaller worlds."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from omegaconf import OmegaConf

from e2e.conftest import PARAMETERS
from faults.runs import copy_project

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promotion.md").read_text(encoding="utf-8")
DRY_RUN = "kedro run --env smoke --pipelines promotion --params promotion.dry_run=true"


def commands() -> list[str]:
    """What the page tells people to type of ours, in order."""
    return re.findall(r"(?m)^    ((?:d2vlm|kedro) .*)$", PAGE)


@dataclass
class Walk:
    """What each command said, and how things stood behind it."""

    said: dict[str, Result]
    versions: dict[str, list[dict[str, Any]]]

    def aliases(self, command: str) -> dict[str, str]:
        """Version by alias, behind a command."""
        return {alias: row["version"] for row in self.versions[command] for alias in row["aliases"]}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    root = copy_project(tmp_path_factory.mktemp("promotion") / "project")
    smoke = root / "conf" / "smoke" / "parameters.yml"
    smoke.write_text(OmegaConf.to_yaml(OmegaConf.merge(OmegaConf.load(smoke), PARAMETERS)))
    said: dict[str, Result] = {}
    versions: dict[str, list[dict[str, Any]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for command in commands():
            said[command] = typed(root, command)
            listed = typed(root, "d2vlm models list --env smoke --json")
            versions[command] = json.loads(listed.stdout) if listed.exit_code == 0 else []
    return Walk(said, versions)


def typed(root: Path, command: str) -> Result:
    from kedro.framework.startup import bootstrap_project

    from d2vlm_pipeline.cli import cli, main

    program, *arguments = shlex.split(command)
    bootstrap_project(root)
    return CliRunner().invoke(main if program == "d2vlm" else cli, arguments)


def test_the_page_types_what_it_promises() -> None:
    assert [command.split()[:3] for command in commands()] == [
        *([["kedro", "run", "--env"]] * 4),
        *(["d2vlm", "models", word] for word in ("list", "history", "verify", "rollback", "promote")),
    ]


def test_every_command_ends_well(walk: Walk) -> None:
    for command in commands():
        said = walk.said[command]
        assert said.exit_code == 0, f"{command}: {said.output} {said.exception}"


def test_a_dry_run_shows_every_gate_and_changes_nothing(walk: Walk) -> None:
    before, _, during, after, *_ = commands()
    assert during == DRY_RUN
    policy = yaml.safe_load((ROOT / "conf" / "smoke" / "promotion.yml").read_text())["promotion"]
    shown = walk.said[DRY_RUN].output
    for gate in policy["gates"]:
        assert gate["gate"] in shown
    assert "margin" in shown and "threshold" in shown
    assert walk.versions[DRY_RUN] == walk.versions[before]
    assert len(walk.versions[after]) == len(walk.versions[before]) + 1


def test_the_champion_changes_hands_and_back(walk: Walk) -> None:
    first, _, _, second, *_, rollback, again = commands()
    assert walk.aliases(first)["champion"] == "1"
    for command in (second, again):
        assert walk.aliases(command)["champion"] == "2"
        assert walk.aliases(command)["previous_champion"] == "1"
    assert walk.aliases(rollback)["champion"] == "1"


def test_the_log_has_an_entry_for_every_move(walk: Walk) -> None:
    history = next(command for command in commands() if " history " in command)
    said = walk.said[history].output
    assert "promote" in said
    assert "wrong on the new footage" not in said, "the page rolls back later"
    rollback = next(command for command in commands() if " rollback " in command)
    assert walk.said[rollback].output.count("\n") < 10


def test_the_table_of_gates_is_whole() -> None:
    from d2vlm_pipeline.registry.rules import KINDS

    for kind in KINDS:
        assert f"`{kind}`" in PAGE
