"""Stages of DVC: what a pipeline reads, from which code, under which parameters, and what it writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import digest_json, marker_path
from d2vlm_pipeline.artifacts.code import module_files
from d2vlm_pipeline.orchestration.datasets import DirectoryDataset, PersistedDataset
from d2vlm_pipeline.orchestration.dvc.configuration import Configuration
from d2vlm_pipeline.orchestration.dvc.parameters import brought, noted
from d2vlm_pipeline.orchestration.stages import STAGES, in_order
from d2vlm_pipeline.orchestration.staleness.record import FOLDER, record_path

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

# Moves an alias in MLflow's registry. DVC would take its record from a cache and move nothing, and an
# experiment would promote what was only tried.
ACTS = frozenset({"promotion"})

_PARAMS = "params:"

# What `source` of footage says of the demo world, whatever else stands beside it.
_WORLD = "world"


@dataclass(frozen=True)
class Stage:
    """A pipeline to DVC. Paths are below the project, or absolute where people brought what lies there.

    Attributes:
        name: of the pipeline.
        data: what it reads and other stages or people make.
        code: files that its behaviour rests on.
        params: keys of the parameters that it reads.
        outs: what it writes.
        metrics: those of them that hold figures.
        plots: those of them that can be plotted, with what `dvc plots` is told.
        layout: digest of the catalog entries that it reads and writes.
    """

    name: str
    data: list[str]
    code: list[str]
    params: list[str]
    outs: list[str]
    metrics: list[str]
    plots: dict[str, dict[str, Any]]
    layout: str
    needs: list[str] = field(default_factory=list)


def stages_of(config: Configuration) -> list[Stage]:
    """A stage for each pipeline of the main job, and for those that it needs something of.

    Raises:
        UserError: a dataset is none that DVC can version, or a parameter's value is refused.
    """
    waiting = [name for name in STAGES if name in config.pipelines and name not in ACTS]
    found: dict[str, Stage] = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = stage_of(name, config)
            waiting += found[name].needs
    return [found[name] for name in in_order(found)]


def stage_of(name: str, config: Configuration) -> Stage:
    """The stage of one pipeline.

    Raises:
        UserError: as `stages_of`.
    """
    pipeline = config.pipelines[name]
    params = sorted(key.removeprefix(_PARAMS) for key in pipeline.inputs() if key.startswith(_PARAMS))
    values = {key: _value(config.parameters, key) for key in params}
    read = dict(_tracked((key for key in pipeline.inputs() if not key.startswith(_PARAMS)), config))
    written = dict(_tracked(pipeline.all_outputs(), config))
    named = dict(_named_by_parameters(values, {*read, *written}, config))
    entries = {key: config.entry(key) or {} for key in sorted({*read, *written})}
    # What the catalog tells DVC of a dataset: that it holds figures, or axes of a plot.
    told = {dataset.path.as_posix(): dataset.metadata.get("dvc") for dataset in written.values()}
    metrics = [path for path, what in told.items() if what == "metrics"]
    outs = [path for dataset in written.values() for path in _paths(dataset)]
    data = [path for dataset in (read | named).values() for path in _paths(dataset)]
    return Stage(
        name=name,
        data=sorted({*data, *_brought(values, (dataset.path for dataset in named.values()))}),
        code=sorted({*_code(name, pipeline, entries, read, config), *_suites(entries)}),
        params=[key for key in params if noted({key: values[key]})],
        outs=sorted({*outs, *_records(pipeline, config)} - {*metrics}),
        metrics=metrics,
        plots={path: what for path, what in told.items() if isinstance(what, dict)},
        layout=digest_json({key: _without(entry, "metadata") for key, entry in entries.items()}),
        needs=sorted({dataset.made_by or "" for dataset in (read | named).values()} & set(config.pipelines)),
    )


def _tracked(names: Iterable[str], config: Configuration) -> Iterator[tuple[str, PersistedDataset]]:
    """The persisted datasets among them that a run under these parameters makes."""
    for name in sorted(names):
        dataset = config.dataset(name)
        if dataset is not None and _is_told(dataset) and _is_asked_for(dataset, config):
            yield name, dataset


def _is_told(dataset: PersistedDataset) -> bool:
    """Whether DVC is told of it at all (`dvc: false`: what is written again whenever somebody looks)."""
    return dataset.metadata.get("dvc") is not False


def _is_asked_for(dataset: PersistedDataset, config: Configuration) -> bool:
    """Whether the parameters make what the catalog says is made on request (`only_if: {key: values}`)."""
    for key, values in dataset.metadata.get("only_if", {}).items():
        group, _, name = key.partition(".")
        held = getattr(config.typed(group), name)
        named = {held} if held is None or isinstance(held, str) else {*held}
        if not named & {*values}:
            return False
    return True


def _named_by_parameters(
    values: dict[str, Any], known: set[str], config: Configuration
) -> Iterator[tuple[str, PersistedDataset]]:
    """Datasets of other pipelines whose path is the value of a parameter: `start.directory` is such a one."""
    texts = set(_leaves(values))
    for name in config.catalog:
        dataset = None if name in known or "{" in name else config.dataset(name)
        if dataset is not None and dataset.path.as_posix() in texts:
            yield name, dataset


def _brought(values: dict[str, Any], made: Iterable[Path]) -> set[str]:
    """What people bring and parameters name: footage, annotations, models."""
    asked = {key: value for key, value in values.items() if not _is_world(value)}
    found = {path for key, value in asked.items() for path in brought(key, value)}
    return found - {path.as_posix() for path in made}


def _is_world(value: Any) -> bool:
    return isinstance(value, dict) and value.get("source") == _WORLD


def _code(
    name: str,
    pipeline: Pipeline,
    entries: dict[str, dict[str, Any]],
    read: Iterable[str],
    config: Configuration,
) -> list[str]:
    """Files of the pipeline, of its nodes, and of what the catalog names to load inputs and save outputs."""
    modules = {f"{config.package}.pipelines.{name}.create_pipeline"}
    modules |= {node.func.__module__ for node in pipeline.nodes}
    for key, entry in entries.items():
        used = _without(entry, "metadata", "save" if key in read else "load")
        modules |= {text for text in _leaves(used) if text.startswith(f"{config.package}.")}
    folder = Path("src", *config.package.split("."))
    own = {module for module in modules if module.startswith(f"{config.package}.")}
    return [(folder / file).as_posix() for file in module_files(sorted(own), config.package)]


def _suites(entries: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Files of expectations that guard what is read or written."""
    for entry in entries.values():
        suite = entry.get("validator", {}).get("options", {}).get("suite", {})
        if "filepath" in suite:
            yield suite["filepath"]


def _records(pipeline: Pipeline, config: Configuration) -> list[str]:
    """By what `kedro run` knows that a node is fresh: with them, a clone that pulled has nothing to run.

    A node leaves one unless all that it makes is handed on in memory.
    """
    folder = Path(config.data_root, FOLDER)
    kept = [
        node
        for node in pipeline.nodes
        if not node.outputs or any(config.entry(name) is not None for name in node.outputs)
    ]
    places = [record_path(folder, node.name) for node in kept]
    return [path.as_posix() for place in places for path in (place, marker_path(place))]


def _paths(dataset: PersistedDataset) -> list[str]:
    """A directory has its manifest in it; a file is nothing without its marker, which lies beside it."""
    marker = [] if isinstance(dataset, DirectoryDataset) else [marker_path(dataset.path).as_posix()]
    return [dataset.path.as_posix(), *marker]


def _value(tree: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value


def _without(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}
