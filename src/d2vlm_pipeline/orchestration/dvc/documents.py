"""The two generated files: dvc.yaml, and params.yaml with the parameters as they are resolved."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from d2vlm_pipeline.orchestration.dvc.configuration import Configuration, Place
from d2vlm_pipeline.orchestration.dvc.parameters import noted
from d2vlm_pipeline.orchestration.dvc.stages import Stage

CONF = "conf"
"""Name of the stage that has DVC notice a changed configuration; beside it, names are those of pipelines."""

# DVC's group in params.yaml, beside those of the project.
_OURS = "dvc"

# What is complete stays complete: without this, DVC deletes it before a stage that would find it fresh.
_KEPT = {"persist": True}

_WRITTEN = "# Written by `{command}`: change conf/ and write it again.\n"


def stages_document(stages: Iterable[Stage], place: Place) -> dict[str, Any]:
    """Content of dvc.yaml."""
    stages = list(stages)
    up = PurePosixPath(*[".."] * len(place.folder.parts))
    document: dict[str, Any] = {
        "stages": {
            CONF: {"cmd": place.command(f"run {CONF}"), **_working_folder(up), "deps": place.sources},
            **{stage.name: stage_document(stage, place) for stage in stages},
        }
    }
    plots = [_plot(up / path, told) for stage in stages for path, told in sorted(stage.plots.items())]
    return {**document, "plots": plots} if plots else document


def stage_document(stage: Stage, place: Place) -> dict[str, Any]:
    """Content of dvc.yaml about one stage."""
    up = PurePosixPath(*[".."] * len(place.folder.parts))
    params: list[Any] = [*stage.params, f"{_OURS}.layout.{stage.name}"]
    if place.name:
        params = [{(place.folder / "params.yaml").as_posix(): params}]
    document = {
        "cmd": place.command(f"run {stage.name}"),
        **_working_folder(up),
        "deps": [*stage.data, *stage.code],
        "params": params,
        "outs": [{path: dict(_KEPT)} for path in stage.outs],
        "metrics": [{path: dict(_KEPT)} for path in stage.metrics],
    }
    return {key: value for key, value in document.items() if value}


def params_document(
    stages: Iterable[Stage], config: Configuration, said: Mapping[str, str]
) -> dict[str, Any]:
    """Content of params.yaml: what stages read and results rest on, as it is resolved.

    Args:
        stages: the stages.
        config: the configuration they come from.
        said: digests of the configuration, by whose it is; DVC tracks none of them.
    """
    stages = list(stages)
    groups = sorted({key.partition(".")[0] for stage in stages for key in stage.params})
    layout = {stage.name: stage.layout for stage in stages}
    values = noted({key: config.parameters[key] for key in groups})
    return {**values, _OURS: {"layout": layout, "conf": dict(said)}}


def parameters_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """The project's parameters in params.yaml."""
    return {key: value for key, value in document.items() if key != _OURS}


def said_in(document: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the configuration that params.yaml was written from; empty where it is none of ours."""
    return dict(document.get(_OURS, {}).get("conf", {}))


def rendered(document: dict[str, Any], place: Place) -> str:
    """The text of a generated file."""
    head = _WRITTEN.format(command=place.command("sync"))
    return head + yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)


def _working_folder(up: PurePosixPath) -> dict[str, str]:
    return {"wdir": up.as_posix()} if up.parts else {}


def _plot(path: PurePosixPath, told: dict[str, Any]) -> dict[str, Any]:
    """A picture as it is; of a table, one axis against another. Plots know no working folder."""
    if not told:
        return {path.as_posix(): None}
    name = f"{path.stem} {' '.join(told['y'])}"
    axes = {axis: {path.as_posix(): told[axis]} for axis in ("x", "y")}
    return {name: axes}
