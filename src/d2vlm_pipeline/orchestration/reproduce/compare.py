"""Two runs held against each other: every output by digest, every score by value, and what made them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.tracking.lineage import DataDigest, Identity, Lineage

Verdict = Literal["same", "differs", "missing", "volatile"]


class OutputRow(StrictModel):
    """One output of both runs.

    Attributes:
        verdict: `volatile` of what holds times or memory and cannot be told to differ otherwise.
        note: what was left aside, or why nothing was compared.
    """

    name: str
    node: str | None
    verdict: Verdict
    recorded: str | None
    found: str | None
    note: str = ""


class ScoreRow(StrictModel):
    """A metric that is not the same; None where one of the runs has none of that name."""

    name: str
    recorded: float | None
    found: float | None


class Comparison(StrictModel):
    """What a run that was made again has in common with the one that was recorded.

    Attributes:
        outputs: in the order in which nodes made them.
        scores: those that differ.
        scores_same: how many do not.
        made_otherwise: what the two were made from, where that differs, as `what: recorded → found`.
        left_out: nodes that were not run again, since they read or move the champion's alias.
    """

    outputs: list[OutputRow]
    scores: list[ScoreRow]
    scores_same: int
    made_otherwise: list[str]
    left_out: list[str]

    @property
    def is_same(self) -> bool:
        """Whether every output and every score that can be the same is."""
        return not self.scores and all(row.verdict in ("same", "volatile") for row in self.outputs)

    @property
    def first(self) -> OutputRow | None:
        """The first output that differs: where to look."""
        return next((row for row in self.outputs if row.verdict in ("differs", "missing")), None)


def output_rows(
    recorded: Lineage, found: Mapping[str, DataDigest], volatile: Mapping[str, OutputRow]
) -> list[OutputRow]:
    """Outputs of the recorded run, in the order of its nodes, beside those of the other.

    Args:
        recorded: the run.
        found: outputs of the run that was made again.
        volatile: rows of outputs whose bytes are never the same, compared in another way.
    """
    place = {name: number for number, name in enumerate(recorded.nodes.run)}
    rows = []
    for name, before in sorted(
        recorded.outputs.items(), key=lambda item: (place.get(item[1].node or "", 0), item[0])
    ):
        if before.node in recorded.nodes.outside:
            continue
        now = found[name].digest if name in found else None
        if now != before.digest and now is not None and name in volatile:
            rows.append(volatile[name])
            continue
        verdict: Verdict = "missing" if now is None else "same" if now == before.digest else "differs"
        rows.append(
            OutputRow(name=name, node=before.node, verdict=verdict, recorded=before.digest, found=now)
        )
    return rows


def score_rows(
    recorded: Mapping[str, float], found: Mapping[str, float], volatile: Sequence[str]
) -> tuple[list[ScoreRow], int]:
    """Metrics that differ, and how many do not.

    Args:
        recorded: value by name.
        found: of the run that was made again.
        volatile: beginnings of names of metrics that are times or memory.
    """
    names = [name for name in sorted({*recorded, *found}) if not name.startswith(tuple(volatile))]
    rows = [
        ScoreRow(name=name, recorded=recorded.get(name), found=found.get(name))
        for name in names
        if not _is_same(recorded.get(name), found.get(name))
    ]
    return rows, len(names) - len(rows)


def scores_of_ended(
    recorded: Mapping[str, float], found: Mapping[str, float], outcome: str
) -> Mapping[str, float]:
    """Metrics to compare: of a run that did not finish, those that the other one has, too.

    What a node logged before it was interrupted has no counterpart: only nodes that ended are run again.
    """
    if outcome == "finished":
        return recorded
    return {name: value for name, value in recorded.items() if name in found}


def made_otherwise(recorded: Lineage, found: Lineage) -> list[str]:
    """What two runs were made from, where it is not the same. Their environments' names are not compared."""
    lines = [
        f"{name}: {_shown(before)} → {_shown(now)}"
        for name, before, now in _parts(recorded, found)
        if before != now
    ]
    packages = sorted({*recorded.packages, *found.packages})
    return lines + [
        f"package {name}: {recorded.packages.get(name, 'none')} → {found.packages.get(name, 'none')}"
        for name in packages
        if recorded.packages.get(name) != found.packages.get(name)
    ]


def _parts(recorded: Lineage, found: Lineage) -> list[tuple[str, Any, Any]]:
    named = ("lock", "seed", "metric_code", "world", "encoder", "backbone")
    parts = [(name.replace("_", " "), getattr(recorded, name), getattr(found, name)) for name in named]
    machine = ("system", "cpu", "cores", "memory_mb", "python")
    parts += [(name, getattr(recorded.machine, name), getattr(found.machine, name)) for name in machine]
    parts.append(("GPUs", _gpus(recorded), _gpus(found)))
    parts.append(("commit", recorded.git.commit, found.git.commit))
    for name, before in recorded.inputs.items():
        now = found.inputs[name].digest if name in found.inputs else None
        parts.append((f"input {name}", before.digest, now))
    return parts


def _gpus(lineage: Lineage) -> str | None:
    return ", ".join(gpu.name for gpu in lineage.machine.gpus) or None


def _shown(value: Any) -> str:
    if isinstance(value, Identity):
        return f"{_shown(value.configuration)}/{_shown(value.content)}"
    if value is None:
        return "none"
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _is_same(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is now
    return before == now or (math.isnan(before) and math.isnan(now))
