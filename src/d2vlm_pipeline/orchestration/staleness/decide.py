"""Which nodes of a run have something to do, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.orchestration.datasets.base import short_path
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.plan import NodePlan, Plan, digest_of
from d2vlm_pipeline.orchestration.staleness.record import Definition, Record, Surroundings, find_record

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline


@dataclass(frozen=True)
class Verdict:
    """Of one node: why it runs, None where it need not."""

    node: str
    cause: str | None


def decide(plan: Plan, pipeline: Pipeline, is_forced: bool = False) -> list[Verdict]:
    """A verdict for every node, in the order of the pipeline.

    Args:
        plan: of this pipeline.
        pipeline: what was asked for.
        is_forced: everything runs.
    """
    if is_forced:
        return [Verdict(node.name, "asked for (--force)") for node in pipeline.nodes]
    judge = _Judge(plan, pipeline, plan.contents())
    causes = judge.causes()
    judge.contents.save()
    return [Verdict(node.name, causes.get(node.name)) for node in pipeline.nodes]


@dataclass
class _Judge:
    """One decision about one pipeline."""

    plan: Plan
    pipeline: Pipeline
    contents: Contents
    own: dict[str, str | None] = field(default_factory=dict)

    def causes(self) -> dict[str, str]:
        """Of the nodes that run, by name."""
        needed: dict[str, str] = {}
        while True:
            causes = self._forwards(needed)
            found = {maker: by for maker, by in self._needed(causes) if maker not in causes}
            if not found:
                return causes
            needed |= found

    def _forwards(self, needed: Mapping[str, str]) -> dict[str, str]:
        """Nodes with a cause of their own, those that are needed, and all that comes after them."""
        causes: dict[str, str] = {}
        for node in self.pipeline.nodes:
            name = node.name
            cause = self._cause(self.plan.nodes[name], causes)
            if cause is not None:
                causes[name] = cause
            elif name in needed:
                causes[name] = f"{needed[name]} needs what it hands on"
        return causes

    def _needed(self, causes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Makers of what running nodes take from memory."""
        here = {node.name for node in self.pipeline.nodes}
        for name in causes:
            yield from ((maker, name) for maker in self.plan.nodes[name].makers.values() if maker in here)

    def _cause(self, node: NodePlan, causes: Mapping[str, str]) -> str | None:
        if not node.is_recorded:
            return f"{node.opaque[0]} tells nobody whether it has changed" if node.opaque else None
        record = find_record(self.plan.records, node.name)
        cause = _at_first_sight(node, record)
        if cause is not None or record is None:
            return cause
        running = next((name for name in self._before(node) if name in causes), None)
        if running is not None:
            return f"{running} runs"
        if node.name not in self.own:
            self.own[node.name] = self._in_the_data(node, record)
        return self.own[node.name]

    def _before(self, node: NodePlan) -> Iterator[str]:
        """Nodes of this pipeline whose saved outputs bear on this one, directly or handed on."""
        for name in node.definition.inputs:
            if name in node.places:
                yield from self._savers.get(name, ())
            elif (maker := node.makers.get(name)) is not None:
                yield from self._before(self.plan.nodes[maker])

    def __post_init__(self) -> None:
        self._savers = {name: (node.name,) for node in self.pipeline.nodes for name in node.outputs}

    def _in_the_data(self, node: NodePlan, record: Record) -> str | None:
        """What of the data is not as it was; reads what has changed, so it comes last."""
        now = self.plan.surroundings(node, self.contents)
        changed = _changed_surroundings(record.surroundings, now, node)
        if changed is not None:
            return changed
        for name, digest in record.outputs.items():
            if digest is not None and digest != digest_of(node.places[name], self.contents):
                place = short_path(node.places[name].path)
                return f"{place} was changed by hand, or by a run that keeps no records"
        return None


def _at_first_sight(node: NodePlan, record: Record | None) -> str | None:
    """What is to be seen without reading data."""
    kept = [name for name in node.kept if record is None or record.outputs.get(name) is not None]
    absent = [node.places[name] for name in kept if not node.places[name].is_whole]
    if absent:
        place = short_path(absent[0].path)
        return f"{place} is incomplete" if absent[0].path.exists() else f"{place} is missing"
    if record is None:
        return "no record says how its outputs were made" if kept else "never ran to its end"
    return _changed_definition(record.definition, node.definition)


def _changed_definition(before: Definition, now: Definition) -> str | None:
    """First difference, in words."""
    if code := _differing(before.code, now.code):
        more = f" and {len(code) - 1} more files" if len(code) > 1 else ""
        return f"code: {code[0]}{more}"
    for key in _differing(before.parameters, now.parameters):
        return f"parameter {key}: {_shown(before.parameters, key)} → {_shown(now.parameters, key)}"
    for key in _differing(before.packages, now.packages):
        return f"package {key}: {_shown(before.packages, key)} → {_shown(now.packages, key)}"
    for key in _differing(before.entries, now.entries):
        return f"catalog entry {key}"
    for key in _differing(before.suites, now.suites):
        return f"suite {key}"
    return None if before == now else "the node itself: its function, inputs or outputs"


def _changed_surroundings(before: Surroundings, now: Surroundings, node: NodePlan) -> str | None:
    for key in _differing(before.files, now.files):
        return f"what {key} names ({node.files[key]})" if key in node.files else f"what {key} named is gone"
    for key in _differing(before.inputs, now.inputs):
        if node.makers.get(key) is not None:
            return f"input {key}: {node.makers[key]} would make another"
        return f"input {key}" if now.inputs.get(key) is not None else f"input {key} is not there"
    for key in _differing(before.outside, now.outside):
        return f"{key}: {_shown(before.outside, key)} → {_shown(now.outside, key)}"
    return None


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key, _ABSENT) != now.get(key, _ABSENT)]


_ABSENT = object()


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "not there")
    return "none" if value is None else str(value)
