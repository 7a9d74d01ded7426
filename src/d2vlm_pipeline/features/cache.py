"""Clips that were computed before: shards that outlive runs and stores, each with a journal of what it holds.

    cache/
      shard-00000-1f3a…c2.npy          as in a store
      shard-00000-1f3a…c2.jsonl        its IndexEntries, written after it: without them it does not count

A store is made of the cache's shards under second names, so that both together take the space of one. Nothing
is lost but time when the folder is deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from d2vlm_pipeline.artifacts import (
    UserError,
    atomic_file,
    is_complete,
    locked,
    marker_path,
    read_manifest,
    track,
    verify,
    write_text_atomic,
)
from d2vlm_pipeline.features.index import INDEX_NAME, IndexEntry, Key
from d2vlm_pipeline.features.shards import Shard, StoredClip, link_or_copy, read_header
from d2vlm_pipeline.features.store import read_index
from d2vlm_pipeline.timeline import dump_jsonl, read_jsonl

logger = logging.getLogger(__name__)

_SHARDS = "shard-*.npy"


def for_this_run(cache: Path) -> AbstractContextManager[None]:
    """Make the folder and keep other runs out of it.

    Raises:
        UserError: another run is in it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    return locked(cache / ".lock", f"{cache}: another run is computing features here")


def write_journal(shard: Shard) -> None:
    """Say what a whole shard holds: from now on its clips are found."""
    journal, text = _journal(shard.path), dump_jsonl(shard.entries)
    # One that stands is left alone: while it is replaced, a kill would cost the shard.
    if not is_complete(journal) or journal.read_text(encoding="utf-8") != text:
        write_text_atomic(journal, text)


def known_clips(cache: Path, wanted: Collection[Key]) -> dict[Key, StoredClip]:
    """Those of the wanted clips that are there, by key; shards that hold some of them are read and checked.

    What is damaged or was not finished is removed, and so computed again.
    """
    known: dict[Key, StoredClip] = {}
    paths = sorted(cache.glob(_SHARDS))
    for path in track(paths, "check what is there", unit="shard") if paths else ():
        entries = _entries(path)
        if not any(entry.key in wanted for entry in entries):
            continue
        shard = _checked(path, entries)
        for position, entry in enumerate(entries if shard else ()):
            if shard is not None and entry.key in wanted:
                known.setdefault(entry.key, StoredClip(shard, position))
    return known


def adopt(cache: Path, store: Path) -> None:
    """Take over the shards of a store that was made elsewhere, or before its cache was deleted."""
    if not is_complete(store):
        return
    names = [name for name in read_manifest(store).files if Path(name).match(_SHARDS)]
    if all(is_complete(_journal(cache / name)) for name in names):
        return
    try:
        index = read_index(store)
    except UserError as error:
        logger.warning("not taken over: %s", error)
        return
    for name, entries in groupby(index.entries, attrgetter("shard")):
        if not is_complete(_journal(cache / name)):
            _remove(cache / name)
            _link(store / name, cache / name)
            write_text_atomic(_journal(cache / name), dump_jsonl(entries))


def publish(cache: Path, names: Sequence[str], directory: Path) -> None:
    """Fill an empty directory with a store of these shards; its index is their journals in a row."""
    for name in names:
        _link(cache / name, directory / name)
    with atomic_file(directory / INDEX_NAME) as temporary, temporary.open("wb") as index:
        for name in names:
            index.write(_journal(cache / name).read_bytes())


def remove_superseded(cache: Path, names: Collection[str], stored: Collection[Key]) -> None:
    """Remove shards whose clips all lie in the shards of these names, which hold the clips `stored`, too."""
    for path in sorted(cache.glob(_SHARDS)):
        if path.name not in names and all(entry.key in stored for entry in _entries(path)):
            _remove(path)


def _entries(path: Path) -> list[IndexEntry]:
    """What a shard's journal says; nothing where there is none that can be read."""
    journal = _journal(path)
    if not is_complete(path) or not is_complete(journal):
        _remove(path)
        return []
    try:
        verify(journal)
        return [entry for _, entry in read_jsonl(journal, IndexEntry)]
    except UserError as error:
        logger.warning("%s; its clips are computed again", error)
        _remove(path)
        return []


def _checked(path: Path, entries: Sequence[IndexEntry]) -> Shard | None:
    """A shard whose bytes are those that were written; None, and it is gone, where they are not."""
    try:
        verify(path)
        with path.open("rb") as file:
            rows, tokens, channels = read_header(file)
        if rows != sum(entry.frames for entry in entries):
            raise ValueError("does not fit its journal")
    except (UserError, ValueError) as error:
        logger.warning("%s: %s; its %d clips are computed again", path, error, len(entries))
        _remove(path)
        return None
    return Shard(path, (tokens, channels), tuple(entries))



def _journal(path: Path) -> Path:
    return path.with_suffix(".jsonl")


def _link(source: Path, target: Path) -> None:
    link_or_copy(source, target)
    link_or_copy(marker_path(source), marker_path(target))


def _remove(path: Path) -> None:
    """Remove a shard, its journal first: what remains after a crash in between does not count."""
    for file in (_journal(path), path):
        marker_path(file).unlink(missing_ok=True)
        file.unlink(missing_ok=True)
