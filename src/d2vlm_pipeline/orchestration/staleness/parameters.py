"""Which parameters nodes read, as resolved, and which of them change no byte of a result."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

PREFIX = "params:"
_ALL = "parameters"

# How, where and by how many a result is computed, and nothing else: tests hold results byte for byte against
# those with other values. Threads of torch and the number of training workers are not among them, since sums
# of floats depend on how they are split.
COMPUTE_ONLY = (
    "compute.workers",
    "ray",
    "ray.*",
    "train.launcher",
    "train.cpus_per_worker",
    "train.max_failures",
    "train.accelerator",
    "train.placement",
    "train.storage",
    "*.replay_dir",
    "*.checkpoints",
    "*.checkpoints.*",
)

# Parameters that may name a file or a folder: there, its content counts as much as its name.
FILES = (
    "*data.videos",
    "*data.annotations",
    "*data.annotations.*",
    "answering.model",
    "start.directory",
    "encoder.path",
    "model.backbone.path",
    "model.projector.path",
)

_MEMBER = "::"  # ARCHIVE::MEMBER


def resolved_parameters(parameters: Mapping[str, Any], inputs: Iterable[str]) -> dict[str, Any]:
    """What nodes with these inputs read: value by dotted key, without what is `COMPUTE_ONLY`.

    Args:
        parameters: Those of an environment, resolved: `project_config(…)["parameters"]`.
        inputs: Names of datasets; those that are no parameters are passed over.
    """
    found: dict[str, Any] = {}
    for name in inputs:
        if name == _ALL:
            found.update(_leaves("", parameters))
        elif name.startswith(PREFIX):
            key = name.removeprefix(PREFIX)
            found.update(_leaves(key, _value(parameters, key)))
    return {key: found[key] for key in sorted(found) if not _is_among(key, COMPUTE_ONLY)}


def named_files(parameters: Mapping[str, Any]) -> dict[str, Path]:
    """The parameters, by dotted key, that name a file or folder which is there."""
    texts = {
        key: value for key, value in parameters.items() if isinstance(value, str) and _is_among(key, FILES)
    }
    places = {key: Path(text.partition(_MEMBER)[0]).expanduser() for key, text in texts.items()}
    return {key: path for key, path in places.items() if path.exists()}


def _is_among(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _value(parameters: Mapping[str, Any], key: str) -> Any:
    value: Any = parameters
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None  # Kedro refuses the run by name
        value = value[part]
    return value


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value below, by dotted key; an empty mapping is a value, and a list is one."""
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from _leaves(f"{key}.{name}" if key else str(name), below)
    else:
        yield key, value
