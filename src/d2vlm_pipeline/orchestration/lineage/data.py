"""Digests of what a run reads and makes, through the memory of what was read: nothing is hashed twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.parameters import named_files, resolved_parameters
from d2vlm_pipeline.orchestration.staleness.plan import Place, digest_of, find_place
from d2vlm_pipeline.tracking.lineage import DataDigest

if TYPE_CHECKING:
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline


def places_of(catalog: DataCatalog, names: Iterable[str]) -> dict[str, Place]:
    """Where datasets of these names lie; those that are not persisted are passed over."""
    found = {name: find_place(catalog, name) for name in sorted(names)}
    return {name: place for name, place in found.items() if place is not None}


def data_digests(places: Mapping[str, Place], contents: Contents, root: Path) -> dict[str, DataDigest]:
    """What lies there now, by name."""
    digests = {name: digest_of(place, contents) for name, place in places.items()}
    contents.save()
    return {
        name: DataDigest(path=_shown(place.path, root), digest=digests[name])
        for name, place in places.items()
    }


def file_digests(
    parameters: Mapping[str, Any], pipeline: Pipeline, contents: Contents, root: Path
) -> dict[str, DataDigest]:
    """Files and folders that parameters of the pipeline name, by the parameter's key."""
    files = named_files(resolved_parameters(parameters, sorted(pipeline.inputs())))
    found = {
        key: DataDigest(path=_shown(path.absolute(), root), digest=contents.of(path))
        for key, path in files.items()
    }
    contents.save()
    return found


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
