"""`kedro run`, killed at fifty moments: started again it completes, and nothing shows that it was killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faults.moments import NUMBER, Moment, chains, moments
from faults.runs import Ended, Runs, copy_project
from faults.sameness import content, leftovers, promotion
from faults.striker import BEFORE, BEHIND, Strike

pytestmark = pytest.mark.slow


def main_job() -> list[str]:
    """Nodes of the main job, in the order in which a run comes to them."""
    from importlib import import_module

    from kedro.pipeline import Pipeline

    from d2vlm_pipeline.orchestration.stages import STAGES

    stages = (import_module(f"d2vlm_pipeline.pipelines.{name}").create_pipeline() for name in STAGES)
    return [node.name for node in sum(stages, Pipeline([])).nodes]


NODES = main_job()
# What they make is handed on in memory, so that they run whenever whoever takes it does.
HANDED_ON = {BEFORE, "prepare_model", "gather_pairs"}
CHAINS = chains(moments(NODES))


@dataclass
class Undisturbed:
    """A run that nothing disturbed.

    Attributes:
        root: the project's folder; the table of videos names it, so that all runs are in this one.
        places: operations of every place of the run, and the least seconds that were seen there.
    """

    runs: Runs
    root: Path
    places: dict[str, dict[str, Any]]
    content: dict[str, str]
    promotion: dict[str, object]

    def run(self, strike: Strike | None = None) -> Ended:
        """One more run; modules that the first one had to import cost the others nothing."""
        ended = self.runs.run(self.root, strike)
        for record in ended.trace:
            if record["event"] == "left":
                place = self.places[record["place"]]
                place["seconds"] = min(place["seconds"], record["seconds"])
        return ended

    def clear(self) -> None:
        for name in ("data", "mlruns"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def keep(self, folder: Path) -> None:
        """Put what is there aside …"""
        for name in ("data", "mlruns"):
            if (self.root / name).exists():  # a run that is killed early has made neither
                shutil.copytree(self.root / name, folder / name)

    def restore(self, folder: Path) -> None:
        """… and back."""
        self.clear()
        for name in ("data", "mlruns"):
            if (folder / name).exists():
                shutil.copytree(folder / name, self.root / name)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp("kills")
    root = copy_project(folder / "project")
    with Runs(folder) as runs:
        ended = runs.run(root)
        assert ended.status == 0, ended.said[-3000:]
        places = {record["place"]: record for record in ended.trace if record["event"] == "left"}
        data = root / "data/faults"
        yield Undisturbed(runs, root, places, content(data), promotion(data))


def test_there_are_fifty_moments_and_one_inside_every_node(undisturbed: Undisturbed) -> None:
    drawn = [moment for chain in CHAINS for moment in chain]
    assert len(drawn) == NUMBER == len(set(drawn))
    assert list(undisturbed.places) == [BEFORE, *NODES, BEHIND]
    assert {moment.place for moment in drawn} == undisturbed.places.keys()
    for chain in CHAINS:
        order = [[*undisturbed.places].index(moment.place) for moment in chain]
        assert order == sorted(set(order)), "one after the other, each behind the last"


@pytest.mark.parametrize(
    "chain", [pytest.param(CHAINS[0], marks=pytest.mark.ci_sample, id="sample"), *CHAINS[1:]]
)
def test_killed_runs_complete_when_they_are_started_again(
    undisturbed: Undisturbed, chain: list[Moment], tmp_path: Path
) -> None:
    """Kill after kill in one data root; after each, a run that is left alone in a copy of it."""
    undisturbed.clear()
    done: set[str] = set()
    for moment in chain:
        killed = undisturbed.run(moment.strike(undisturbed.places))
        assert killed.struck is not None and killed.struck["place"] == moment.place, killed.said[-3000:]
        assert killed.left == [], "processes outlive a killed run"
        undisturbed.keep(tmp_path / "killed")
        again = undisturbed.run()
        check(undisturbed, again, moment)
        done |= killed.finished - HANDED_ON
        assert not done & set(again.nodes), f"{moment}: what was finished was done again"
        check_champion(undisturbed.root, tmp_path / f"{moment.place}-{moment.by}.db")
        undisturbed.restore(tmp_path / "killed")


def check(undisturbed: Undisturbed, again: Ended, moment: Moment) -> None:
    """The run after the kill has ended as the undisturbed one did."""
    assert again.status == 0, f"{moment}: {again.said[-3000:]}"
    data = undisturbed.root / "data/faults"
    found = content(data)
    assert found.keys() == undisturbed.content.keys(), moment
    assert [name for name in found if found[name] != undisturbed.content[name]] == [], moment
    assert promotion(data) == undisturbed.promotion, moment
    assert leftovers(undisturbed.root) == [], moment
    assert again.left == [], moment


def check_champion(root: Path, copy: Path) -> None:
    """The alias names the FPO model that lies there, and was moved once."""
    from d2vlm_pipeline.orchestration.project import tracking_config
    from d2vlm_pipeline.orchestration.registry_settings import project_keyring
    from d2vlm_pipeline.registry import read_audit, resolve_champion
    from d2vlm_pipeline.registry.versions import model_digest

    tracking = tracking_config(root, "faults")
    # MLflow keeps a database open that has long been replaced: of a copy it knows nothing yet.
    shutil.copy(str(tracking.database), copy)
    store = tracking.model_copy(update={"tracking_uri": f"sqlite:///{copy}"})
    keyring = project_keyring(root, "faults")
    champion = resolve_champion(store, keyring=keyring)
    log = read_audit(store, keyring)
    assert champion.digest == model_digest(root / "data/faults/06_models/fpo")
    assert [entry.version for entry in log if entry.moves] == [champion.version]
