"""Two runs made the same: every file of two data roots, byte for byte, and nothing left behind."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import psutil

from d2vlm_pipeline.artifacts import digest_bytes
from faults.server import MARK

EXCLUDED = {
    "08_reporting/validation/store/*": "Great Expectations draws ids for a run and files it by the time",
    "08_reporting/validation/docs/*": "Data Docs of those runs, with their ids and times",
    "04_feature/cache/*": "what was computed, in shards that end where runs did; the store is compared",
    "07_model_output/journal/*": "answers as they came, run by run; the files made of them are compared",
    "06_models/checkpoints/*": "how far runs of a phase came; its weights and its curve are compared",
    ".records/read.json": "sizes, times and inodes of the files that were read",
    ".records/promote_model.json": "holds the digest of promotion.json, and what the alias named before",
    ".records/.promote_model.json.sha256": "its digest",
    "08_reporting/promotion.json": "compared by `promotion`: only the run that moves the alias says so",
    "08_reporting/.promotion.json.sha256": "its digest",
}
"""Files below the data root that are not held byte for byte, and why. MLflow's store is not below it."""


def content(data: Path) -> dict[str, str]:
    """Digest of every compared file by its place below the data root."""
    files = [path for path in data.rglob("*") if path.is_file()]
    places = {path.relative_to(data).as_posix(): path for path in files}
    return {
        place: digest_bytes(path.read_bytes())
        for place, path in sorted(places.items())
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in EXCLUDED)
    }


def promotion(data: Path) -> dict[str, object]:
    """What the record of the promotion says that holds for every run with this outcome."""
    record = json.loads((data / "08_reporting" / "promotion.json").read_text())
    return {key: record[key] for key in ("alias", "version")}


def leftovers(root: Path) -> list[str]:
    """Temporary files and folders anywhere in the project."""
    names = (".tmp-*", ".register-*", ".download-*")
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob(".*")
        if any(fnmatch.fnmatchcase(path.name, name) for name in names)
    )


def processes(mark: str) -> list[psutil.Process]:
    """Processes of a run that are still there, however they were started."""
    found = []
    for process in psutil.process_iter():
        try:
            is_of_run = process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if is_of_run:
            found.append(process)
    return found
