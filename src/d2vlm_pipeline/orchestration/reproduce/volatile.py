"""Outputs that hold times and memory: never the same bytes twice, and compared without them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.orchestration.reproduce.compare import OutputRow
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.tracking.lineage import DataDigest, Lineage
from d2vlm_pipeline.tracking.logged_models import PREFIX

# By the name of a dataset, the dotted places in it that are measured with a clock; none: all of it is.
MEASURED: Mapping[str, tuple[str, ...]] = {
    "studies": ("studies.cost",),
    "dossier": ("cost",),
    "report": (),
}
MEASURED_METRICS = ("studies/cost/", f"{PREFIX}/")
"""Beginnings of the names of metrics that are, and of those that say of a LoggedModel what others say."""


def volatile_rows(
    recorded: Lineage, found: Mapping[str, DataDigest], root: Path, project: Path, contents: Contents
) -> dict[str, OutputRow]:
    """Rows for outputs of `MEASURED`, by name, where they are there in both runs.

    Args:
        recorded: the run.
        found: outputs of the run that was made again.
        root: the project that the run was made in.
        project: the checkout.
        contents: digests of what lies in the former.
    """
    rows = {}
    for name, places in MEASURED.items():
        if name not in recorded.outputs or name not in found:
            continue
        before, now = recorded.outputs[name], found[name]
        here = root / before.path
        is_there = here.is_file() and contents.of(here) == before.digest
        row = OutputRow(
            name=name, node=before.node, verdict="volatile", recorded=before.digest, found=now.digest
        )
        rows[name] = _held(row, here if is_there else None, project / now.path, places)
    return rows


def _held(row: OutputRow, before: Path | None, now: Path, places: tuple[str, ...]) -> OutputRow:
    if not places:
        return row.model_copy(update={"note": "shows times; what it is made from is compared"})
    if before is None:
        return row.model_copy(update={"note": "the recorded file is not there any more to be compared"})
    without = f"compared without {', '.join(places)}"
    is_same = _rest(before, places) == _rest(now, places)
    return row.model_copy(update={"verdict": "same" if is_same else "differs", "note": without})


def _rest(file: Path, places: tuple[str, ...]) -> str:
    content = json.loads(file.read_text(encoding="utf-8"))
    for place in places:
        content = _without(content, place.split("."))
    return digest_json(content)


def _without(value: Any, place: list[str]) -> Any:
    if not isinstance(value, dict) or place[0] not in value:
        return value
    rest = {name: below for name, below in value.items() if name != place[0]}
    return rest if len(place) == 1 else {**rest, place[0]: _without(value[place[0]], place[1:])}
