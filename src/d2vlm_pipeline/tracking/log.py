"""Scores, step curves and files, logged to a run that is named explicitly."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.client import tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# What MLflow accepts in a metric name; `r1@0.5` has to be respelled.
_REFUSED = re.compile(r"[^/\w.\- :]")
_BATCH = 1000


def metric_key(*parts: str) -> str:
    """Name of a metric in MLflow: `fpo/test-iid/tvg/r1_at_0.5`."""
    return _REFUSED.sub("_", "/".join(parts).replace("@", "_at_"))


def flatten_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every value of a metrics.json record by its MLflow name, with its count of unparsed answers.

    Values that are null (nothing to score) are left out: MLflow has no null.

    Raises:
        UserError: two scores would share one name.
    """
    flat: dict[str, float] = {}
    for parts, score in _leaves(metrics["scores"]):
        key = metric_key(*parts)
        if key in flat:
            raise UserError(f"metrics: {'/'.join(parts)} and another are both {key} in MLflow; rename one")
        if score["value"] is not None:
            flat[key] = float(score["value"])
        flat[f"{key}.unparsed"] = float(score["unparsed"])
    return flat


def log_scores(config: TrackingConfig, run_id: str, metrics: Mapping[str, Any]) -> None:
    """Log a metrics.json record to the run: flattened as metrics, and whole as the artifact metrics.json."""
    client = tracking_client(config)
    _log_points(client, run_id, [(name, value, 0) for name, value in flatten_scores(metrics).items()])
    client.log_dict(run_id, dict(metrics), "metrics.json")


def flatten_studies(record: Mapping[str, Any]) -> dict[str, float]:
    """Every figure of a studies.json record by its MLflow name, without those that have no value."""
    return {
        metric_key("studies", study, name): float(figure["value"])
        for study, found in record["studies"].items()
        for name, figure in found["figures"].items()
        if figure["value"] is not None
    }


def log_studies(config: TrackingConfig, run_id: str, record: Mapping[str, Any]) -> None:
    """Log a studies.json record: its figures as metrics, and whole as the artifact studies.json."""
    client = tracking_client(config)
    _log_points(client, run_id, [(name, value, 0) for name, value in flatten_studies(record).items()])
    client.log_dict(run_id, dict(record), "studies.json")


def log_settings(config: TrackingConfig, run_id: str, settings: Mapping[str, Any], name: str) -> None:
    """Log a configuration that something else than this project reads, as an artifact of that name."""
    tracking_client(config).log_dict(run_id, dict(settings), name)


def log_curves(config: TrackingConfig, run_id: str, rows: Iterable[Mapping[str, float]], prefix: str) -> None:
    """Log step curves: a row `{"step": k, name: value, ...}` becomes metrics `prefix/name` at step k.

    What the run has already, logged while the curve grew, is left out.

    Raises:
        UserError: a row has no whole-numbered step.
    """
    points = []
    for number, row in enumerate(rows, start=1):
        step = row.get("step")
        if step is None or step != int(step):
            raise UserError(f"curves of {prefix}, row {number}: step is {step!r}; give a whole number")
        points += [(metric_key(prefix, name), float(row[name]), int(step)) for name in row if name != "step"]
    client = tracking_client(config)
    _log_points(client, run_id, _not_yet_there(client, run_id, points))


def log_files(
    config: TrackingConfig, run_id: str, files: Iterable[Path | str], folder: str | None = None
) -> None:
    """Log files (PNG, JSON, HTML) or whole directories as artifacts of the run, below `folder`.

    Raises:
        UserError: one of them does not exist.
    """
    client = tracking_client(config)
    for path in map(Path, files):
        if path.is_dir():
            client.log_artifacts(run_id, str(path), artifact_path="/".join(filter(None, (folder, path.name))))
        elif path.is_file():
            client.log_artifact(run_id, str(path), artifact_path=folder)
        else:
            raise UserError(f"{path}: no such file to log; run the step that makes it")


def _leaves(scores: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """(system, split, task, metric) with the score record, in the order of the file."""
    for system, splits in scores.items():
        for split, tasks in splits.items():
            for task, metrics in tasks.items():
                for metric, score in metrics.items():
                    yield (system, split, task, metric), score


def _not_yet_there(
    client: MlflowClient, run_id: str, points: list[tuple[str, float, int]]
) -> list[tuple[str, float, int]]:
    """Points of which the run has no value at their step."""
    known = set(client.get_run(run_id).data.metrics)
    steps = {
        name: {metric.step for metric in client.get_metric_history(run_id, name)}
        for name in sorted({name for name, _, _ in points} & known)
    }
    return [point for point in points if point[2] not in steps.get(point[0], ())]


def _log_points(client: MlflowClient, run_id: str, points: list[tuple[str, float, int]]) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    for first in range(0, len(points), _BATCH):
        batch = [Metric(name, value, now_ms, step) for name, value, step in points[first : first + _BATCH]]
        client.log_batch(run_id, metrics=batch)
