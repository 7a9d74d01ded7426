"""MLflow's database is locked or gone, or its server is: a run waits and says so, or ends in one line."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.runs import COMMAND, Ended, Runs, copy_project
from faults.sameness import content, leftovers

pytestmark = pytest.mark.slow

INGEST = (*COMMAND, "--pipelines", "ingestion")
AGAIN = "then run the same command again: what is finished stays"


@dataclass
class Place:
    """A project whose ingestion has run once, and what that gave."""

    runs: Runs
    root: Path
    content: dict[str, str]

    @property
    def database(self) -> Path:
        return self.root / "mlruns/faults/mlflow.db"

    def clear(self) -> None:
        shutil.rmtree(self.root / "data")

    def configure(self, name: str, text: str) -> None:
        (self.root / "conf/faults" / name).write_text(text)

    def check(self, ended: Ended) -> None:
        """It has ended as if nothing had been."""
        assert ended.status == 0, ended.said[-3000:]
        assert content(self.root / "data/faults") == self.content
        assert leftovers(self.root) == []

    def check_refused(self, ended: Ended, said: str) -> None:
        """It has ended with one line, and what it leaves is whole: the same command goes on from there."""
        assert ended.status == 2, ended.said[-3000:]
        last = ended.said.rstrip().splitlines()[-1]
        assert said in last and last.endswith(AGAIN), ended.said[-3000:]
        assert "Traceback" not in ended.said
        assert content(self.root / "data/faults").items() <= self.content.items()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("store")
    root = copy_project(folder / "project")
    with Runs(folder) as runs:
        ended = runs.run(root, arguments=INGEST)
        assert ended.status == 0, ended.said[-3000:]
        yield Place(runs, root, content(root / "data/faults"))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process's exclusive lock: nobody reads or writes meanwhile."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.parametrize("moment", ["before the first node", "probe_videos"])
def test_while_the_database_is_locked_a_run_waits_and_says_so(place: Place, moment: str) -> None:
    place.clear()
    if moment == "before the first node":
        with locked(place.database):
            begun = place.runs.begin(place.root, arguments=INGEST)
            begun.comes_to("has not answered for 2 s: another process may hold it locked; waiting up to 90 s")
    else:
        begun = place.runs.begin(place.root, arguments=INGEST)
        begun.comes_to(moment)
        with locked(place.database):
            begun.comes_to("has not answered")
    place.check(place.runs.end(begun))


def test_a_lock_that_outlasts_patience_ends_the_run_in_one_line(place: Place) -> None:
    place.clear()
    globals_ = (place.root / "conf/faults/globals.yml").read_text()
    place.configure("globals.yml", f"{globals_}mlflow_patience_s: 1\n")
    begun = place.runs.begin(place.root, arguments=INGEST)
    begun.comes_to("annotate_clips")
    with locked(place.database):
        ended = place.runs.end(begun)
    place.configure("globals.yml", globals_)
    place.check_refused(ended, "mlflow.db: another process holds it locked")
    place.check(place.runs.run(place.root, arguments=INGEST))


def test_a_database_that_is_gone_ends_the_run_in_one_line(place: Place) -> None:
    place.clear()
    begun = place.runs.begin(place.root, arguments=INGEST)
    begun.comes_to("annotate_clips")
    (place.root / "mlruns").rename(place.root / "away")
    ended = place.runs.end(begun)
    shutil.rmtree(place.root / "mlruns", ignore_errors=True)
    (place.root / "away").rename(place.root / "mlruns")
    place.check_refused(ended, "it is not there any more or cannot be written")
    place.check(place.runs.run(place.root, arguments=INGEST))


def test_a_server_that_is_not_there_ends_the_run_in_one_line(place: Place) -> None:
    place.clear()
    mlflow = (place.root / "conf/base/mlflow.yml").read_text()
    uri = "sqlite:///${globals:mlflow_root}/mlflow.db"
    assert uri in mlflow
    place.configure("mlflow.yml", mlflow.replace(uri, "http://127.0.0.1:9"))
    ended = place.runs.run(place.root, arguments=INGEST)
    (place.root / "conf/faults/mlflow.yml").unlink()
    place.check_refused(ended, "http://127.0.0.1:9: no server answers; start it")
    place.check(place.runs.run(place.root, arguments=INGEST))
