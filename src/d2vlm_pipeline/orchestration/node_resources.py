"""What each node of a run gets on Ray, and how often it is tried (`node_resources` in ray.yml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

KEY = "node_resources"


class Needs(StrictModel):
    """What one node gets, each key where it is said.

    Attributes:
        cpus: Processor cores that Ray sets aside; threads are `compute.threads`, whatever this says.
        gpus: GPUs; a fraction lets several nodes share one.
        memory_mb: Memory that Ray sets aside; 0 sets none aside.
        retries: How often the node starts again after its worker was lost: killed, out of memory, or gone
            with its machine. An error that the node raises is not tried again.
    """

    cpus: float | None = Field(default=None, ge=0)
    gpus: float | None = Field(default=None, ge=0)
    memory_mb: int | None = Field(default=None, ge=0)
    retries: int | None = Field(default=None, ge=0)


_DEFAULT = {"cpus": 1.0, "gpus": 0.0, "memory_mb": 0, "retries": 2}


class NodeResources(StrictModel):
    """What nodes get on Ray: by name, else by tag, else the default, key by key.

    Of several tags of a node the largest value counts.
    """

    default: Needs = Needs()
    tags: dict[str, Needs] = Field(default_factory=dict)
    names: dict[str, Needs] = Field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """What one node gets, and which key says so.

    Attributes:
        cpus, gpus, memory_mb, retries: see `Needs`.
        said_by: full key in the parameters, by name of these.
    """

    cpus: float
    gpus: float
    memory_mb: int
    retries: int
    said_by: Mapping[str, str] = field(default_factory=dict)


def node_resources(value: Any) -> NodeResources:
    """The parameter as it is typed.

    Raises:
        UserError: a key is unknown, or a value refused.
    """
    try:
        return NodeResources.model_validate(value)
    except ValidationError as error:
        place = [KEY, *(str(part) for part in error.errors()[0]["loc"])]
        raise UserError(f"{validation_reason(error, place)}; mend it in ray.yml") from None


def share_of(node: Node, resources: NodeResources, is_spread: bool) -> Share:
    """What a node gets.

    Args:
        node: of the run.
        resources: the settings.
        is_spread: the node hands its work to workers of its own and only waits for them: of cores and GPUs
            it gets what its own name says, or none. Else it might hold what its workers wait for.
    """
    by_tag = {tag: needs for tag, needs in resources.tags.items() if tag in node.tags}
    found: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for key, built_in in _DEFAULT.items():
        values = {f"tags.{tag}": getattr(needs, key) for tag, needs in by_tag.items()}
        said = {place: value for place, value in values.items() if value is not None}
        named = getattr(resources.names.get(node.name, Needs()), key)
        if named is not None:
            value, place = named, f"names.{node.name}"
        elif is_spread and key in ("cpus", "gpus"):
            value, place = 0.0, "default"
        elif said:
            place = max(said, key=lambda each: said[each])
            value = said[place]
        else:
            own = getattr(resources.default, key)
            value, place = built_in if own is None else own, "default"
        found[key], said_by[key] = value, f"{KEY}.{place}.{key}"
    return Share(**found, said_by=said_by)


def check_names(resources: NodeResources, nodes: Iterable[Node]) -> None:
    """Refuse names and tags that no node of any pipeline has.

    Raises:
        UserError: one is unknown.
    """
    nodes = list(nodes)
    known = {
        "names": {node.name for node in nodes},
        "tags": {tag for node in nodes for tag in node.tags},
    }
    for kind, said in {"names": resources.names, "tags": resources.tags}.items():
        for name in said:
            if name in known[kind]:
                continue
            close = get_close_matches(name, known[kind], n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(sorted(known[kind]))}"
            raise UserError(f"{KEY}.{kind}.{name}: no node has this {kind.removesuffix('s')}; {hint}")


_UNITS = {"cpus": "CPUs", "gpus": "GPUs", "memory_mb": "MB of memory"}


def check_room_for_nodes(shares: Mapping[str, Share], machines: Sequence[Mapping[str, float]]) -> None:
    """Refuse a run of which a node fits on no machine: Ray would wait for ever.

    Args:
        shares: what each node gets, by name.
        machines: what each machine of the cluster has, by `Share`'s names.

    Raises:
        UserError: one line that names node, key and mend.
    """
    for node, share in shares.items():
        asked = {key: getattr(share, key) for key in _UNITS}
        if any(all(machine[key] >= asked[key] for key in asked) for machine in machines):
            continue
        most = {key: max((machine[key] for machine in machines), default=0) for key in asked}
        lacking = next((key for key in asked if asked[key] > most[key]), None)
        if lacking is None:
            wanted = ", ".join(f"{asked[key]:g} {unit}" for key, unit in _UNITS.items() if asked[key])
            raise UserError(
                f"{node} asks for {wanted}, and no machine of the cluster has all of them; "
                f"lower {share.said_by['cpus']}, or name another cluster in ray.address"
            )
        raise UserError(
            f"{node} asks for {asked[lacking]:g} {_UNITS[lacking]}, and no machine of the cluster has more "
            f"than {most[lacking]:g}; lower {share.said_by[lacking]}, or name another cluster in ray.address"
        )
