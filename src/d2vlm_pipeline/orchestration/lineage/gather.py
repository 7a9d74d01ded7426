"""The lineage of a Kedro run: what is known when it starts, and what its end adds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import digest_bytes, digest_file
from d2vlm_pipeline.orchestration.datasets.base import FOLLOWS_CHAMPION
from d2vlm_pipeline.orchestration.lineage.configuration import KINDS, configuration_text
from d2vlm_pipeline.orchestration.lineage.data import data_digests, file_digests, places_of
from d2vlm_pipeline.orchestration.lineage.parts import (
    backbone_identity,
    encoder_identity,
    metric_code,
    world_digest,
)
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.plan import Place
from d2vlm_pipeline.orchestration.staleness.record import FOLDER
from d2vlm_pipeline.tracking.git_state import git_state
from d2vlm_pipeline.tracking.lineage import Lineage, NodesRun
from d2vlm_pipeline.tracking.machine import installed_packages, this_machine

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline

LOCK = "requirements.lock"
_DEFAULT_ENV = "local"
_WITHOUT_HOOKS = "ParallelRunner"


@dataclass(frozen=True)
class Begun:
    """What is known of a run that starts.

    Attributes:
        configuration: text of configuration.yaml.
        patch: of the dirty tree; empty where it is clean.
        pipeline: the nodes that are to run.
        outputs: where they lie.
        inputs: the same of what the run reads.
    """

    lineage: Lineage
    configuration: str
    patch: bytes
    root: Path
    memory: Path
    parameters: Mapping[str, Any]
    pipeline: Pipeline
    catalog: DataCatalog
    outputs: Mapping[str, Place]
    inputs: Mapping[str, Place]


def begin(
    context: KedroContext,
    run_params: Mapping[str, Any],
    pipeline: Pipeline,
    catalog: DataCatalog,
    entries: Mapping[str, Any],
    skipped: Collection[str],
) -> Begun:
    """Look at everything that a run is made from, before its first node.

    Args:
        context: of the run.
        run_params: what it was asked for.
        pipeline: the nodes that are to run.
        catalog: where their data lies.
        entries: of the catalog, as configured.
        skipped: nodes that were asked for and are up to date.
    """
    root, loader = Path(context.project_path), context.config_loader
    # The loader reads files anew whenever it is asked, and the catalog is the longest of them.
    config = {kind: loader[kind] if kind != "catalog" else entries for kind in KINDS}
    parameters, env = config["parameters"], run_params.get("env") or context.env or _DEFAULT_ENV
    memory = root / config["globals"]["data_root"] / FOLDER / "read.json"
    contents = Contents(memory)
    inputs, outputs = (places_of(catalog, names) for names in (pipeline.inputs(), pipeline.all_outputs()))
    files = file_digests(parameters, pipeline, contents, root)
    git, patch = git_state(root)
    text = configuration_text(config, env, root)
    lock = root / LOCK
    lineage = Lineage(
        schema=1,
        git=git,
        lock=digest_file(lock) if lock.is_file() else None,
        configuration=digest_bytes(text.encode()),
        env=env,
        pipelines=_pipelines(run_params),
        runner=_runner(run_params),
        seed=parameters.get("seed", config["globals"].get("seed")),
        metric_code=metric_code(),
        world=world_digest(parameters),
        encoder=encoder_identity(parameters, [place.path for place in inputs.values()]),
        backbone=backbone_identity(parameters, files),
        machine=this_machine(),
        packages=installed_packages(),
        nodes=NodesRun(skipped=list(skipped)),
        inputs=data_digests(inputs, contents, root),
        files=files,
    )
    return Begun(lineage, text, patch, root, memory, parameters, pipeline, catalog, outputs, inputs)


def finish(begun: Begun, saved: Mapping[str, Mapping[str, bool]], is_failed: bool) -> Lineage:
    """The same at the end of the run.

    Args:
        begun: of that run.
        saved: by node, its outputs so far, and of each whether it was written rather than left as it was.
        is_failed: whether an error has ended it.
    """
    planned = begun.pipeline.nodes
    if begun.lineage.runner == _WITHOUT_HOOKS and not is_failed:
        # Its nodes tell nobody here of what they save; but all of them have ended.
        saved = {node.name: dict.fromkeys(node.outputs, True) for node in planned}
    ended = [node for node in planned if saved.get(node.name, {"": False}).keys() == {*node.outputs}]
    written = {name for outputs in saved.values() for name, is_written in outputs.items() if is_written}
    places = {name: place for name, place in begun.outputs.items() if name in written and place.is_whole}
    seen = [place.path for place in (*begun.inputs.values(), *places.values())]
    nodes = NodesRun(
        run=[node.name for node in ended],
        not_run=[node.name for node in planned if node not in ended],
        skipped=begun.lineage.nodes.skipped,
        outside=[node.name for node in ended if FOLLOWS_CHAMPION in node.tags],
    )
    makers = {output: node.name for node in planned for output in node.outputs}
    made = data_digests(places, Contents(begun.memory), begun.root)
    return begun.lineage.model_copy(
        update={
            "outcome": "failed" if is_failed else "finished",
            "encoder": encoder_identity(begun.parameters, seen),
            "nodes": nodes,
            "outputs": {
                name: found.model_copy(update={"node": makers[name]}) for name, found in made.items()
            },
        }
    )


def _pipelines(run_params: Mapping[str, Any]) -> list[str]:
    names = run_params.get("pipeline_names") or run_params.get("pipeline_name") or ["__default__"]
    return [names] if isinstance(names, str) else list(names)


def _runner(run_params: Mapping[str, Any]) -> str:
    """Name of the runner's class: Kedro hands on what it looks like."""
    said = str(run_params.get("runner"))
    if said == "None":  # Kedro's own choice, where nobody has made one
        return "SequentialRunner"
    named = re.search(r"(\w+) object at", said)
    return named.group(1) if named else said.rpartition(".")[2]
