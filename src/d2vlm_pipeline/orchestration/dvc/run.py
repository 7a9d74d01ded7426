"""One stage: the pipeline under the parameters of params.yaml, refused where DVC was told something else."""

import os
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.dvc.configuration import (
    OWN,
    SHARED,
    Configuration,
    Place,
    read_configuration,
)
from d2vlm_pipeline.orchestration.dvc.documents import CONF, parameters_in, said_in, stage_document
from d2vlm_pipeline.orchestration.dvc.parameters import difference, noted
from d2vlm_pipeline.orchestration.dvc.stages import stage_of
from d2vlm_pipeline.orchestration.dvc.sync import changes, read_document, said


def run_stage(place: Place, name: str) -> None:
    """Check that DVC knows what will run, then run it; the stage `conf` is the check alone.

    Raises:
        UserError: conf/, the code or the catalog have changed since the two files were written.
    """
    document = read_document(place.params_file)
    config = read_configuration(place)
    check_conf(place, config, document)
    if name == CONF:
        return
    given = difference(config.parameters, parameters_in(document))
    check_stage(place, name, read_configuration(place, given), document)
    _run(place, name, given)


def check_conf(place: Place, config: Configuration, document: dict[str, Any]) -> None:
    """Refuse a configuration that has changed since params.yaml was written.

    Where conf/local changes nothing, params.yaml holds all the same: in a fresh clone it is what the owner of
    the overrides ran with.

    Raises:
        UserError: it has.
    """
    then, now = said_in(document), said(place, config)
    if now.get(OWN) == now.get(SHARED):
        then.pop(OWN, None)
        now.pop(OWN, None)
    if then == now:
        return
    values = noted(parameters_in(document))
    known = {key: value for key, value in noted(config.parameters).items() if key in values}
    first = next(changes(values, known), "parameters that no stage reads, or the catalog")
    raise UserError(
        f"{_short(place, place.params_file)}: conf/ has changed since it was written ({first}); "
        f"run `{place.command('sync')}`"
    )


def check_stage(place: Place, name: str, config: Configuration, document: dict[str, Any]) -> None:
    """Refuse to run what dvc.yaml does not say, or under other parameters than DVC notes down.

    Raises:
        UserError: the stage would be another one; or params.yaml lacks what conf/ says.
    """
    known = read_document(place.stages_file).get("stages", {})
    if name not in known or name not in config.pipelines:
        names = ", ".join(known) or "none as yet"
        raise UserError(f"{_short(place, place.stages_file)}: no stage '{name}' (there are: {names})")
    for change in changes(known[name], stage_document(stage_of(name, config), place)):
        raise UserError(
            f"{_short(place, place.stages_file)}: {name}.{change}; run `{place.command('sync')}`. An "
            "experiment cannot change what a stage reads and writes: set it in conf/ first"
        )
    values, resolved = noted(parameters_in(document)), noted(config.parameters)
    for change in changes(values, {key: resolved.get(key) for key in values}):
        raise UserError(
            f"{_short(place, place.params_file)}: {change}: what conf/ says can be changed here, not removed"
        )


def _run(place: Place, name: str, given: dict[str, Any]) -> None:
    from d2vlm_pipeline.orchestration.run_command import run

    # The stage's own environment, whatever the shell's.
    os.environ.pop("KEDRO_ENV", None)
    environment = ["--env", place.name] if place.name else []
    context = run.make_context("run", ["--pipelines", name, *environment])
    context.params["params"] = given
    with context:
        run.invoke(context)


def _short(place: Place, path: Path) -> str:
    return path.relative_to(place.root).as_posix()
