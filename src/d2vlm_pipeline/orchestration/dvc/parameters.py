"""Which parameters DVC notes down: those that bear on a result, as they are resolved."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from d2vlm_pipeline.orchestration.staleness.parameters import COMPUTE_ONLY, FILES

_MEMBER = "::"  # ARCHIVE::MEMBER
_LOCAL = ("/", "./", "../", "~")
_HUB = "path"  # last key of what names a folder or a repository of the hub


def noted(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without those that change no byte of a result; groups of nothing else are left out.

    A machine may have other workers than the one that wrote params.yaml, and nothing is stale for it.
    """
    return dict(_noted("", parameters))


def difference(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What `other` says otherwise than `base`, as `--params` takes it."""
    found: dict[str, Any] = {}
    for key, value in other.items():
        before = base.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            below = difference(before, value)
            if below:
                found[key] = below
        elif value != before or key not in base:
            found[key] = value
    return found


def brought(key: str, value: Any) -> Iterator[str]:
    """Files and folders that people bring, named by a parameter.

    Of what may be a name on the hub as well, only what looks like a path.
    """
    for place, text in _texts(key, value):
        if not any(fnmatchcase(place, pattern) for pattern in FILES):
            continue
        path = text.partition(_MEMBER)[0]
        if place.rpartition(".")[2] != _HUB or path.startswith(_LOCAL):
            yield path


def _noted(above: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{above}{name}"
        if any(fnmatchcase(key, pattern) for pattern in COMPUTE_ONLY):
            continue
        if not isinstance(value, Mapping):
            yield name, value
            continue
        below = dict(_noted(f"{key}.", value))
        if below or not value:
            yield name, below


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _texts(f"{key}.{name}", below)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(key, item)
    elif isinstance(value, str):
        yield key, value
