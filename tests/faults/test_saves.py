"""Whatever happens during a save: what is loaded afterwards is old or new and whole, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import Resumable, UserError, open_journal
from d2vlm_pipeline.features import FeatureStream
from d2vlm_pipeline.orchestration import (
    AtomicDataset,
    BytesDataset,
    DirectoryDataset,
    JsonLinesDataset,
    PersistedDataset,
)
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.video import VideoRow
from faults.operations import DEATHS, ERRORS, Fault, count, die, fail
from faults.sameness import leftovers
from features.test_cache import SHARD_BYTES, features, rows
from orchestration.things import Point

POINTS = "orchestration.things.Point"


class Asked(Resumable[Point]):
    """Points that are computed one by one and kept in a journal."""

    def __init__(self, number: int) -> None:
        self.number = number

    def resumed(self, journal: Path) -> Iterator[Point]:
        with open_journal(journal) as kept:
            keys = [str(x) for x in range(self.number)]
            for key in keys:
                if key not in kept:
                    kept.append(key, [Point(x=int(key))])
                yield from (Point.model_validate_json(text) for text in kept.read(key))
            kept.keep(keys)


def encoded(number: int) -> FeatureStream:
    """Features of so many videos, computed when they are asked for."""

    def compute(missing: Sequence[VideoRow]) -> Iterator[Any]:
        yield from (features(row, "e") for row in missing)

    return FeatureStream.of(rows(number), "p", "e", compute)


@dataclass(frozen=True)
class Kind:
    """A kind of dataset of the catalog: how it is made, two contents, and what is seen of a loaded one."""

    make: Callable[[Path], PersistedDataset | Memory]
    old: Callable[[], Any]
    new: Callable[[], Any]
    seen: Callable[[Any], Any] = lambda data: data


def _json(folder: Path) -> PersistedDataset:
    return AtomicDataset(filepath=str(folder / "scores.json"), dataset={"type": "json.JSONDataset"})


def _lines(folder: Path) -> PersistedDataset:
    return JsonLinesDataset(filepath=str(folder / "points.jsonl"), records=POINTS)


def _resumed(folder: Path) -> PersistedDataset:
    return JsonLinesDataset(filepath=str(folder / "points.jsonl"), records=POINTS, journal="journal")


def _bytes(folder: Path) -> PersistedDataset:
    return BytesDataset(filepath=str(folder / "page.html"))


def _directory(folder: Path) -> PersistedDataset:
    functions = {"save": "orchestration.things.save_lines", "load": "orchestration.things.load_lines"}
    return DirectoryDataset(filepath=str(folder / "model"), **functions)


def _store(folder: Path) -> PersistedDataset:
    return DirectoryDataset(
        filepath=str(folder / "store"),
        save="d2vlm_pipeline.features.save_store",
        load="d2vlm_pipeline.features.load_store",
        save_args={"shard_bytes": SHARD_BYTES},
        cache="cache",
    )


class Memory:
    """What `kedro run` remembers of the files it has read."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "read.json"

    def save(self, names: list[str]) -> None:
        contents = Contents(self._path)
        for name in names:
            file = self._path.parents[1] / name  # outside of what is watched
            file.touch()
            contents.of(file)
        contents.save()

    def load(self) -> list[str] | None:
        if not self._path.exists():
            return None
        return sorted(Path(name).name for name in json.loads(self._path.read_text()))


def _clips(store: Any) -> list[str]:
    store.verify()
    return sorted(entry.video for entry in store.index.entries)


KINDS = {
    "JSON": Kind(_json, lambda: {"f1": 1.5}, lambda: {"f1": 2.5, "n": [1, 2]}),
    "JSON lines": Kind(_lines, lambda: [Point(x=9)], lambda: [Point(x=1), Point(x=2)]),
    "JSON lines with a journal": Kind(
        _resumed, lambda: Asked(1), lambda: Asked(3), lambda found: [point.x for point in found]
    ),
    "bytes": Kind(_bytes, lambda: b"old", lambda: b"<html>" * 5000),
    "directory": Kind(_directory, lambda: ["a", "b"], lambda: ["c", "d", "e"]),
    "memory of files that were read": Kind(Memory, lambda: ["a"], lambda: ["a", "b"]),
    "feature store with a cache": Kind(_store, lambda: encoded(2), lambda: encoded(5), _clips),
}
KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
THERE = pytest.mark.parametrize("is_there", [True, False], ids=["over an old one", "where nothing is"])


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def seen(kind: Kind, folder: Path) -> Any:
    """What a load gives, of which a refusal to load is one outcome."""
    try:
        return kind.seen(kind.make(folder).load())
    except UserError:
        return None


def prepared(kind: Kind, folder: Path, is_there: bool) -> Callable[[], None]:
    """The folder as it is before a save, and the save."""
    folder.mkdir()
    if is_there:
        kind.make(folder).save(kind.old())
    return lambda: kind.make(folder).save(kind.new())


def check(kind: Kind, folder: Path, save: Callable[[], None], outcomes: list[Any], where: str) -> None:
    """Nothing but whole contents can be loaded, and the save, done again, goes through."""
    found = seen(kind, folder)
    assert found in outcomes, where
    save()
    assert seen(kind, folder) == outcomes[0], where
    assert leftovers(folder) == [], where


def outcomes_of(kind: Kind, folder: Path, is_there: bool) -> tuple[list[str], list[Any]]:
    """The operations of the save, and what may be loaded afterwards: new, nothing, or what was there."""
    save = prepared(kind, folder, is_there)
    before = seen(kind, folder)
    done = count(folder, save)
    return done, [seen(kind, folder), None, before]


@KIND
def test_what_is_counted_is_what_a_save_consists_of(kind: Kind, tmp_path: Path) -> None:
    """A save whose writes went unnoticed would pass all tests below."""
    done, outcomes = outcomes_of(kind, tmp_path / "counted", is_there=True)
    assert outcomes[0] not in outcomes[1:] and outcomes[2] is not None
    for what in ("create", "write", "replace"):
        assert any(line.startswith(what) for line in done), what
    written = sum(line.startswith("write") for line in done)
    assert written >= len([path for path in (tmp_path / "counted").rglob("*") if path.is_file()]) // 2


@KIND
@THERE
@pytest.mark.parametrize("fault", ERRORS)
def test_an_error_of_the_disk_leaves_old_or_new_or_nothing(
    kind: Kind, is_there: bool, fault: Fault, tmp_path: Path
) -> None:
    done, outcomes = outcomes_of(kind, tmp_path / "counted", is_there)
    refused = 0
    for at, what in enumerate(done):
        if what.split()[0] in ("unlink", "remove", "rmdir"):
            continue
        folder, where = tmp_path / str(at), f"operation {at}: {what}"
        save = prepared(kind, folder, is_there)
        error = fail(folder, at, fault, save)
        if what.startswith("link") and error is None:  # where files have no second names they are copied
            assert seen(kind, folder) == outcomes[0], where
            continue
        assert isinstance(error, UserError), f"{where}: {error!r}"
        assert str(folder) in str(error) and "\n" not in str(error), where
        assert ("No space left" if fault == "full" else "Input/output error") in str(error), where
        assert leftovers(folder) == [], where
        refused += 1
        check(kind, folder, save, outcomes, where)
    assert refused >= 3


@KIND
@THERE
@pytest.mark.parametrize(
    "fault", [DEATHS[0], *(pytest.param(fault, marks=pytest.mark.slow) for fault in DEATHS[1:])]
)
def test_a_process_that_dies_leaves_old_or_new_or_nothing(
    kind: Kind, is_there: bool, fault: Fault, tmp_path: Path
) -> None:
    done, outcomes = outcomes_of(kind, tmp_path / "counted", is_there)
    for at, what in enumerate(done):
        folder, where = tmp_path / str(at), f"operation {at}: {what}"
        save = prepared(kind, folder, is_there)
        die(folder, at, fault, save)
        check(kind, folder, save, outcomes, where)
