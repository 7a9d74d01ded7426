"""A node as it stands in code and configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework import project

from d2vlm_pipeline.artifacts import digest_file
from d2vlm_pipeline.artifacts.code import PACKAGE, CodeTree
from d2vlm_pipeline.orchestration.staleness.parameters import resolved_parameters
from d2vlm_pipeline.orchestration.staleness.record import Definition

if TYPE_CHECKING:
    from kedro.io import DataCatalog
    from kedro.pipeline.node import Node

# Their versions change no byte of a result: they start nodes, show progress, read command lines.
BESIDE_THE_POINT = frozenset({"click", "kedro", "mlflow", "psutil", "ray", "rich", "tqdm"})

# Digests in records tell files apart, and stand there for people.
_SHOWN_DIGITS = 16
_DATASETS = "kedro_datasets"  # what Kedro looks a short `type` up in
# Keys of catalog entries whose values are dotted names.
_NAMING = frozenset({"type", "class", "records", "save", "load", "links"})
_FILE = "filepath"


def define(
    node: Node, catalog: DataCatalog, parameters: Mapping[str, Any], root: Path, code: Code
) -> Definition:
    """What the project says of a node.

    Args:
        node: the node.
        catalog: as the run has it, with absolute paths.
        parameters: of the environment, resolved.
        root: the project's folder; records name no other.
        code: shared by nodes, which have much in common.
    """
    function, bound = _unbound(node.func)
    names = (*node.inputs, *node.outputs)
    entries = {name: found for name in names if (found := entry(catalog, name)) is not None}
    dotted = {f"{function.__module__}.{function.__qualname__}", *_dotted(entries)}
    files, packages = code.of(dotted)
    return Definition(
        function=f"{function.__module__}.{function.__qualname__}",
        bound=bound,
        inputs=list(node.inputs),
        outputs=list(node.outputs),
        code=files,
        packages=packages,
        parameters=resolved_parameters(parameters, node.inputs),
        entries=_relative(entries, root),
        suites=_suites((entries[name] for name in node.outputs if name in entries), root),
    )


def entry(catalog: DataCatalog, name: str) -> dict[str, Any] | None:
    """What the catalog says of a dataset, as far as it bears on what is loaded and saved."""
    if name not in catalog or name.partition(":")[0] in ("params", "parameters"):
        return None
    found = catalog.config_resolver.resolve_pattern(name)
    return {key: value for key, value in found.items() if key != "metadata"} or None


class Code:
    """What dotted names rest on, as files and packages are now."""

    def __init__(self) -> None:
        """Follow the files of this package, and of the one that Kedro runs."""
        names = sorted({PACKAGE, project.PACKAGE_NAME or PACKAGE})
        self._trees = {name: CodeTree(name) for name in names}

    def of(self, dotted: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Files behind names of modules, or of what they define, by digest; packages by version."""
        homes = {name: self._home(name) for name in dotted}
        elsewhere = {name for name, home in homes.items() if home is None}
        code: dict[str, str] = {}
        for home, tree in self._trees.items():
            inside = sorted(name for name in homes if homes[name] == home)
            code |= tree.digests(inside)
            elsewhere |= set(tree.outside(inside)) - {name.partition(".")[0] for name in self._trees}
        versions = {name.partition(".")[0]: _version(name.partition(".")[0]) for name in sorted(elsewhere)}
        for name in elsewhere:  # modules that were never installed have a file instead of a version
            if versions[name.partition(".")[0]] is None and (file := _file(name)) is not None:
                code[_module(name)] = digest_file(file)
        known = {name: found for name, found in versions.items() if found and name not in BESIDE_THE_POINT}
        return {name: code[name][:_SHOWN_DIGITS] for name in sorted(code)}, known

    def _home(self, dotted: str) -> str | None:
        return next((name for name in self._trees if dotted.startswith(f"{name}.")), None)


def _unbound(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[str]]:
    """The function behind `partial`, and what that binds."""
    bound: list[str] = []
    while isinstance(function, partial):
        named = (f"{key}={value!r}" for key, value in function.keywords.items())
        bound += [*map(repr, function.args), *named]
        function = function.func
    return function, bound


def _dotted(value: Any, key: str = "") -> Iterator[str]:
    """Dotted names in a catalog entry: classes, functions and records."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _dotted(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from _dotted(below)
    elif isinstance(value, str) and key in _NAMING:
        yield value if value.count(".") > 1 else f"{_DATASETS}.{value}"


def _suites(entries: Iterable[dict[str, Any]], root: Path) -> dict[str, str]:
    """Files that guards read their rules from."""
    options = [found["validator"]["options"] for found in entries if "options" in found.get("validator", {})]
    named = [value[_FILE] for option in options for value in option.values() if _FILE in value]
    files = [Path(name) for name in named if Path(name).is_file()]
    return {str(_relative(str(file), root)): digest_file(file)[:_SHOWN_DIGITS] for file in files}


def _relative(value: Any, root: Path) -> Any:
    """The same with paths below the root as seen from there: a project may move."""
    if isinstance(value, Mapping):
        return {name: _relative(below, root) for name, below in value.items()}
    if isinstance(value, list):
        return [_relative(below, root) for below in value]
    return value.removeprefix(f"{root.as_posix()}/") if isinstance(value, str) else value


@cache
def _version(name: str) -> str | None:
    """Of the distribution that a package comes with; None where it was not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        distributions = _distributions().get(name)
        return version(distributions[0]) if distributions else None


def _module(dotted: str) -> str:
    return dotted.rpartition(".")[0] or dotted


def _file(dotted: str) -> Path | None:
    """Of the module that defines a dotted name."""
    spec = find_spec(_module(dotted))
    return None if spec is None or spec.origin is None else Path(spec.origin)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()
