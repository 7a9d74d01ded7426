"""What is to be known of the nodes of a run before it starts; plain data, which may travel to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import is_complete
from d2vlm_pipeline.orchestration.datasets.base import FOLLOWS_CHAMPION, PersistedDataset
from d2vlm_pipeline.orchestration.imports import import_object
from d2vlm_pipeline.orchestration.staleness.champion import Champion
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.definition import Code, define, entry
from d2vlm_pipeline.orchestration.staleness.parameters import PREFIX, named_files
from d2vlm_pipeline.orchestration.staleness.record import FOLDER, Definition, Surroundings, making

if TYPE_CHECKING:
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

    from d2vlm_pipeline.tracking import TrackingConfig


@dataclass(frozen=True)
class Place:
    """Where a persisted dataset lies.

    Attributes:
        is_raw: whether people may bring or change it, so that no marker vouches for it.
        links: dotted path of what finds files elsewhere that belong to what lies here.
    """

    path: Path
    is_raw: bool
    links: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether something lies here that can be loaded."""
        return self.path.exists() if self.is_raw else is_complete(self.path)


@dataclass(frozen=True)
class NodePlan:
    """One node.

    Attributes:
        places: of inputs and outputs that are persisted, by name.
        makers: node by name of the inputs that are handed on in memory; None where this run has no maker.
        opaque: inputs and outputs of which nobody can say from here whether they have changed.
    """

    name: str
    definition: Definition
    places: Mapping[str, Place]
    makers: Mapping[str, str | None]
    opaque: tuple[str, ...]
    files: Mapping[str, Path]
    champion: Champion | None

    @property
    def kept(self) -> list[str]:
        """Outputs that outlive the run."""
        return [name for name in self.definition.outputs if name in self.places]

    @property
    def is_recorded(self) -> bool:
        """Whether there is anything to record: what only hands on runs whenever it is needed."""
        return not self.opaque and (bool(self.kept) or not self.definition.outputs)


@dataclass(frozen=True)
class Plan:
    """The nodes of a run.

    Attributes:
        records: folder of the records.
        nodes: by name, in the order of the pipeline.
    """

    records: Path
    nodes: Mapping[str, NodePlan] = field(default_factory=dict)

    def contents(self) -> Contents:
        """Digests of what lies there."""
        return Contents(self.records / "read.json")

    def surroundings(self, node: NodePlan, contents: Contents, as_loaded: bool = False) -> Surroundings:
        """What a node finds now.

        Args:
            node: one of this plan.
            contents: of the same data root.
            as_loaded: inputs were loaded just now, and verified on the way: their markers are believed.
        """
        inputs: dict[str, str | None] = {}
        for name in node.definition.inputs:
            if name in node.places:
                place = node.places[name]
                inputs[name] = digest_of(place, contents, is_vouched=as_loaded and not place.is_raw)
            elif name in node.makers:
                maker = node.makers[name]
                inputs[name] = None if maker is None else self._making(self.nodes[maker], contents, as_loaded)
        files = {key: contents.of(path) for key, path in node.files.items() if path.exists()}
        outside = {} if node.champion is None else {"champion": node.champion.seen()}
        return Surroundings(files=files, inputs=inputs, outside=outside)

    def _making(self, node: NodePlan, contents: Contents, as_loaded: bool) -> str:
        return making(node.definition, self.surroundings(node, contents, as_loaded))


def digest_of(place: Place, contents: Contents, is_vouched: bool = False) -> str | None:
    """Digest of a dataset; None where nothing whole lies there.

    `is_vouched`: what lies there was written or verified just now, and its markers say what it is.
    """
    if not place.is_whole:
        return None
    found = contents.written(place.path) if is_vouched else contents.of(place.path)
    if place.links is None or found is None:
        return found
    return f"{found} {contents.of_files(import_object(place.links)(place.path))}"


def plan_run(
    pipeline: Pipeline,
    catalog: DataCatalog,
    parameters: Mapping[str, Any],
    root: Path,
    data_root: Path,
    tracking: TrackingConfig,
    around: Pipeline | None = None,
) -> Plan:
    """Look at every node of a pipeline.

    Args:
        pipeline: what is to run.
        catalog: as the run has it.
        parameters: of the environment, resolved.
        root: the project's folder.
        data_root: where the environment's data lies.
        tracking: the environment's MLflow store.
        around: what it was selected from: nodes of it are looked at where they make what is handed on.
    """
    makers = {name: node for node in (around or pipeline).nodes for name in node.outputs}
    code = Code()

    def one(node: Node) -> NodePlan:
        definition = define(node, catalog, parameters, root, code)
        given = [name for name in (*node.inputs, *node.outputs) if not _is_parameter(name)]
        names = [name for name in given if not _is_beside(catalog, name)]
        places = {name: place for name in names if (place := find_place(catalog, name)) is not None}
        opaque = [name for name in names if name not in places and not _is_handed_on(catalog, name)]
        handed = [name for name in node.inputs if name in names and name not in (*places, *opaque)]
        champion = None
        if FOLLOWS_CHAMPION in node.tags:
            champion = Champion(tracking, str(definition.parameters["promotion.alias"]))
        return NodePlan(
            name=node.name,
            definition=definition,
            places=places,
            makers={name: makers[name].name if name in makers else None for name in handed},
            opaque=tuple(opaque),
            files=named_files(definition.parameters),
            champion=champion,
        )

    planned: dict[str, NodePlan] = {}
    waiting = list(reversed(pipeline.nodes))
    while waiting:
        node = waiting.pop()
        if node.name not in planned:
            planned[node.name] = one(node)
            waiting += [makers[name] for name in planned[node.name].makers if name in makers]
    return Plan(data_root / FOLDER, planned)


def find_place(catalog: DataCatalog, name: str) -> Place | None:
    """Where a dataset lies; None where it is not persisted, or is a parameter."""
    dataset = catalog.get(name) if entry(catalog, name) is not None else None
    if not isinstance(dataset, PersistedDataset):
        return None
    return Place(dataset.path, dataset.raw, dataset.links)


def _is_beside(catalog: DataCatalog, name: str) -> bool:
    """Whether it follows from other inputs (`recorded: false`), and need not lie here where those do."""
    dataset = catalog.get(name) if entry(catalog, name) is not None else None
    return isinstance(dataset, PersistedDataset) and dataset.metadata.get("recorded") is False


def _is_handed_on(catalog: DataCatalog, name: str) -> bool:
    found = entry(catalog, name)
    return found is None or str(found["type"]).endswith("MemoryDataset")


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith(PREFIX)
