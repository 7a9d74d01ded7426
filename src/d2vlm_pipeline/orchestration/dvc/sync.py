"""Writing the two files, and saying where they are out of date."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from d2vlm_pipeline.artifacts import UserError, digest_json
from d2vlm_pipeline.artifacts.atomic import new_temporary
from d2vlm_pipeline.orchestration.dvc.configuration import (
    OWN,
    SHARED,
    Configuration,
    Place,
    read_configuration,
)
from d2vlm_pipeline.orchestration.dvc.documents import params_document, rendered, stages_document
from d2vlm_pipeline.orchestration.dvc.parameters import noted
from d2vlm_pipeline.orchestration.dvc.stages import stages_of

_MOST_LINES = 12


def write(place: Place) -> list[Path]:
    """Bring both files up to date; those that had to be written."""
    written = []
    for path, document in _wanted(place).items():
        text = rendered(document, place)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            _write_text(path, text)
            written.append(path)
    return written


def differences(place: Place) -> list[str]:
    """What is out of date, a line each; none where nothing is."""
    lines = [
        f"{path.relative_to(place.root).as_posix()}: {line}"
        for path, document in _wanted(place).items()
        for line in changes(read_document(path), document)
    ]
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"… and {more} more"] if more > 0 else lines


def read_document(path: Path) -> dict[str, Any]:
    """A generated file's content; empty where there is no such file.

    Raises:
        UserError: it is no YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not path.is_file():
        return {}
    try:
        # DVC writes 1e-05, which YAML 1.1 takes for a text.
        document = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, OSError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}; write it again: `kedro dvc sync`") from None
    if not isinstance(document, dict):
        raise UserError(f"{path}: not a mapping; write it again: `kedro dvc sync`")
    return {str(key): value for key, value in document.items()}


def said(place: Place, config: Configuration) -> dict[str, str]:
    """Digests of parameters and catalog: as everybody has them, and with what conf/local changes in them.

    The second says whether a person's own overrides are those that params.yaml was written with.
    """
    if place.name:
        return {place.name: _digest(config)}
    shared = config if place.env == SHARED else read_configuration(replace(place, env=SHARED))
    return {SHARED: _digest(shared), OWN: _digest(config)}


def changes(old: Any, new: Any) -> Iterator[str]:
    """Where two documents differ, by dotted path, in a few words."""
    yield from _changes("", old, new)


def _wanted(place: Place) -> dict[Path, dict[str, Any]]:
    config = read_configuration(place)
    stages = stages_of(config)
    return {
        place.stages_file: stages_document(stages, place),
        place.params_file: params_document(stages, config, said(place, config)),
    }


def _digest(config: Configuration) -> str:
    return digest_json({"parameters": noted(config.parameters), "catalog": config.catalog})


def _write_text(path: Path, text: str) -> None:
    """Put the file in place whole; no marker: DVC and people write it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = new_temporary(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _changes(place: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _changes(f"{place}.{key}" if place else str(key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and all(map(_is_path, [*old, *new])):
        gone, come = ([_path(item) for item in items] for items in (old, new))
        yield from (f"{place}: {path} is missing" for path in come if path not in gone)
        yield from (f"{place}: {path} is left over" for path in gone if path not in come)
    elif old != new:
        yield f"{place}: {_short(old)} here, {_short(new)} by conf/ and code"


def _is_path(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, Mapping) and len(item) == 1)


def _path(item: Any) -> str:
    return item if isinstance(item, str) else str(next(iter(item)))


def _short(value: Any) -> str:
    text = "nothing" if value is None else yaml.safe_dump(value, default_flow_style=True, width=10_000)
    text = text.removesuffix("\n...\n").strip()
    return text if len(text) <= 40 else f"{text[:37]}…"
