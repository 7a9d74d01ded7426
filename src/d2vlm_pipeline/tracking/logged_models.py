"""Models and checkpoints that a run keeps, as MLflow's LoggedModels: by digest, where they lie, not copied.

A LoggedModel is tied to the run that kept it, to the datasets that it was made from, and to metrics of its
own: its last losses, and its scores once it has been evaluated, by whichever run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.tracking.client import tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig
from d2vlm_pipeline.tracking.log import metric_key

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, LoggedModel
    from mlflow.tracking import MlflowClient

PREFIX = "model"
"""First part of the names of metrics that belong to a LoggedModel."""

MODEL, CHECKPOINT = "d2vlm", "d2vlm-checkpoint"
"""Types of LoggedModels: a model directory that answers, and a step that training goes on from."""

# MLflow keeps so many characters of a dataset's digest; the whole one stands in its source.
_DATASET_DIGITS = 36
_DIGEST, _PHASE, _STEP, _PATH = "digest", "phase", "step", "path"


@dataclass(frozen=True)
class KeptModel:
    """A model directory or a checkpoint as it lies there.

    Attributes:
        name: for people.
        kind: `MODEL` or `CHECKPOINT`.
        phase: that made it.
        step: after which; None where that is not known.
        digest: of its manifest, which lists the digest of every file: the one that versions carry, too.
        path: below the project.
        datasets: digest by name of what it was made from.
        metrics: its last losses.
    """

    name: str
    kind: str
    phase: str
    step: int | None
    digest: str
    path: str
    datasets: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def log_kept(tracking: TrackingConfig, run_id: str, kept: Sequence[KeptModel]) -> list[str]:
    """Make a LoggedModel of each, unless there is one of the same content, and tie it to the run.

    Returns:
        Their ids, in the order of `kept`.
    """
    from mlflow.entities import LoggedModelOutput

    client = tracking_client(tracking)
    experiment = client.get_run(run_id).info.experiment_id
    ids = []
    for model in kept:
        found = find_logged(client, experiment, model.digest)
        if found is None:
            found = _created(client, experiment, run_id, model)
            client.log_outputs(run_id, [LoggedModelOutput(found.model_id, model.step or 0)])
        ids.append(str(found.model_id))
    inputs = [_dataset_input(name, digest) for name, digest in _datasets(kept).items()]
    if inputs:
        client.log_inputs(run_id, inputs)
    return ids


def find_logged(client: MlflowClient, experiment: str, digest: str) -> LoggedModel | None:
    """The LoggedModel of that content; None where there is none."""
    found = client.search_logged_models([experiment], f"params.`{_DIGEST}` = '{digest}'", max_results=1)
    return next(iter(found), None)


def log_model_scores(
    tracking: TrackingConfig,
    run_id: str,
    scores: Mapping[str, Mapping[str, Any]],
    digests: Mapping[str, str],
    dataset: tuple[str, str] | None,
) -> int:
    """Tie scores to the LoggedModels of the systems that they are about.

    Args:
        tracking: the store.
        run_id: the run that evaluated.
        scores: split, task and metric to a score's record, by system.
        digests: of the systems' models, by system; systems without one are passed over.
        dataset: name and digest of what was asked, where that is known.

    Returns:
        How many were logged; those that are null are not.
    """
    client = tracking_client(tracking)
    experiment = client.get_run(run_id).info.experiment_id
    count = 0
    for system, digest in digests.items():
        model = find_logged(client, experiment, digest) if system in scores else None
        if model is not None:
            flat = dict(_flat(scores[system]))
            _log_metrics(client, run_id, model, flat, 0, dataset)
            count += len(flat)
    return count


def _created(client: MlflowClient, experiment: str, run_id: str, model: KeptModel) -> LoggedModel:
    """A LoggedModel without files: it says where they lie, and by digest which they are."""
    params = {_DIGEST: model.digest, _PHASE: model.phase}
    if model.step is not None:
        params[_STEP] = str(model.step)
    made = client.create_logged_model(
        experiment,
        name=model.name,
        source_run_id=run_id,
        tags={_PATH: model.path, **{f"dataset.{name}": digest for name, digest in model.datasets.items()}},
        params=params,
        model_type=model.kind,
    )
    dataset = next(iter(model.datasets.items()), None)
    _log_metrics(client, run_id, made, model.metrics, model.step or 0, dataset)
    return client.finalize_logged_model(made.model_id, "READY")


def _log_metrics(
    client: MlflowClient,
    run_id: str,
    model: LoggedModel,
    metrics: Mapping[str, float],
    step: int,
    dataset: tuple[str, str] | None,
) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    name, digest = dataset or (None, None)
    shortened = None if digest is None else digest[:_DATASET_DIGITS]
    points = [
        Metric(metric_key(PREFIX, key), value, now_ms, step, model.model_id, name, shortened)
        for key, value in metrics.items()
    ]
    if points:
        client.log_batch(run_id, metrics=points)


def _datasets(kept: Iterable[KeptModel]) -> dict[str, str]:
    return {name: digest for model in kept for name, digest in model.datasets.items()}


def _dataset_input(name: str, digest: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"sha256": digest})
    dataset = Dataset(name=name, digest=digest[:_DATASET_DIGITS], source_type="d2vlm", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _flat(splits: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """`split/task/metric` with its value, of scores that have one."""
    for split, tasks in splits.items():
        for task, metrics in tasks.items():
            for metric, score in metrics.items():
                if score["value"] is not None:
                    yield f"{split}/{task}/{metric}", float(score["value"])
