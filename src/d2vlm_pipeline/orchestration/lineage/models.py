"""Which models and checkpoints a run has kept, and what they were made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import UserError, digest_json, is_complete, read_manifest
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.lineage.gather import Begun
from d2vlm_pipeline.tracking import TrackingConfig
from d2vlm_pipeline.tracking.lineage import Lineage
from d2vlm_pipeline.tracking.logged_models import (
    CHECKPOINT,
    MODEL,
    KeptModel,
    log_kept,
    log_model_scores,
)
from d2vlm_pipeline.training.checkpoints import CheckpointRecord, read_record

KEY = "checkpoints"
"""In the metadata of a model's entry: the phases that make it, as folders of checkpoints are named."""

_ASKED, _SCORES, _SUFFIX = "samples", "scores", "_model"
_STEP = "step"


def log_models(begun: Begun, lineage: Lineage, tracking: TrackingConfig, run_id: str) -> None:
    """Log what the run has kept, and tie scores that it has made to the models that they are about."""
    log_kept(tracking, run_id, list(_kept(begun, lineage)))
    data = {**lineage.inputs, **lineage.outputs}
    digest = data[_ASKED].digest if _ASKED in data else None
    asked = None if digest is None else (_ASKED, digest)
    for name in lineage.outputs:
        if _metadata(begun, name).get("mlflow") == _SCORES:
            scores = begun.catalog.load(name)["scores"]
            log_model_scores(tracking, run_id, scores, _evaluated(begun, data), asked)


def _kept(begun: Begun, lineage: Lineage) -> Iterator[KeptModel]:
    data = {**lineage.inputs, **lineage.outputs}
    for node in begun.pipeline.nodes:
        for name in node.outputs:
            phases = _metadata(begun, name).get(KEY)
            if phases is None:
                continue
            found = {given: data[given].digest for given in node.inputs if given in data}
            datasets = {given: digest for given, digest in found.items() if digest is not None}
            last = None
            for folder in _step_folders(begun, node.inputs, phases):
                checkpoint = _checkpoint(begun, folder, datasets)
                if checkpoint is not None:
                    last = checkpoint if last is None or (checkpoint.step or 0) >= (last.step or 0) else last
                    yield checkpoint
            if name in lineage.outputs:
                yield _model(begun, lineage, name, datasets, last)


def _model(
    begun: Begun, lineage: Lineage, name: str, datasets: Mapping[str, str], last: KeptModel | None
) -> KeptModel:
    """A model directory that the run has made, with the losses of the last step before it."""
    return KeptModel(
        name=name.replace(".", "-"),  # MLflow takes no dots
        kind=MODEL,
        phase=name.rpartition(".")[2].removesuffix(_SUFFIX),
        step=None if last is None else last.step,
        digest=digest_json(read_manifest(begun.outputs[name].path)),
        path=lineage.outputs[name].path,
        datasets=datasets,
        metrics={} if last is None else last.metrics,
    )


def _checkpoint(begun: Begun, folder: Path, datasets: Mapping[str, str]) -> KeptModel | None:
    if not is_complete(folder):
        return None
    try:
        record: CheckpointRecord = read_record(folder)
    except UserError:
        return None  # of another version: training says so, and goes on from another
    points = record.points[-1] if record.points else {}
    return KeptModel(
        name=f"{folder.parent.name}-{folder.name}",
        kind=CHECKPOINT,
        phase=record.phase,
        step=record.step,
        digest=digest_json(read_manifest(folder)),
        path=folder.relative_to(begun.root).as_posix() if folder.is_relative_to(begun.root) else str(folder),
        datasets=datasets,
        metrics={name: float(value) for name, value in points.items() if name != _STEP},
    )


def _step_folders(begun: Begun, inputs: list[str], phases: list[str]) -> Iterator[Path]:
    """Folders of checkpoints that are kept, of phases below the folders that a node's parameters name."""
    roots = {
        folder
        for name in inputs
        if name.startswith("params:")
        for folder in _folders(_value(begun.parameters, name.removeprefix("params:")))
    }
    for root in sorted(roots):
        for phase in phases:
            yield from sorted((begun.root / root / phase).rglob("step-*"))


def _folders(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    for name, below in value.items():
        if name == KEY and isinstance(below, Mapping) and "folder" in below:
            yield str(below["folder"])
        else:
            yield from _folders(below)


def _value(parameters: Mapping[str, Any], key: str) -> Any:
    value: Any = parameters
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _evaluated(begun: Begun, data: Mapping[str, Any]) -> dict[str, str]:
    """Digest of each system's model directory, where the run has read or made one."""
    places = {**begun.inputs, **begun.outputs}
    return {
        name.removesuffix(_SUFFIX): digest_json(read_manifest(place.path))
        for name, place in places.items()
        if name in data and KEY in _metadata(begun, name) and is_complete(place.path)
    }


def _metadata(begun: Begun, name: str) -> Mapping[str, Any]:
    dataset = begun.catalog.get(name)
    return dataset.metadata if isinstance(dataset, PersistedDataset) else {}
