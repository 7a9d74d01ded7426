"""The one door to MLflow: explicit store, explicit run ids, no global state, safe in threads and workers.

MLflow costs seconds to import, so it is imported inside the functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.config import TrackingConfig
from d2vlm_pipeline.tracking.database import make_database

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def harden_mlflow() -> None:
    """Set what MLflow reads from the environment: never unpickle, no progress bars of its own."""
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def tracking_client(config: TrackingConfig) -> MlflowClient:
    """Client of the configured store; makes the SQLite file and its tables where they are missing."""
    harden_mlflow()
    from mlflow.tracking import MlflowClient

    if config.database is not None:
        make_database(config.database)
    # The registry is named too: otherwise a registry URI set elsewhere in the process would win.
    return MlflowClient(tracking_uri=config.tracking_uri, registry_uri=config.tracking_uri)


def ensure_experiment(client: MlflowClient, config: TrackingConfig) -> str:
    """Id of the configured experiment, which is created with the explicit artifact root or restored.

    Raises:
        UserError: the experiment exists and keeps its artifacts somewhere else.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.create_experiment(config.experiment, artifact_location=config.artifact_location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None:
        raise UserError(
            f"{config.tracking_uri}: experiment {config.experiment} was deleted meanwhile; try again"
        )
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    location = config.artifact_location
    if location is not None and experiment.artifact_location.rstrip("/") != location.rstrip("/"):
        raise UserError(
            f"{config.tracking_uri}: experiment {config.experiment} keeps its artifacts in "
            f"{experiment.artifact_location}, not in {location}; use another experiment name"
        )
    return experiment.experiment_id


@contextmanager
def open_run(client: MlflowClient, config: TrackingConfig, run_id: str | None, name: str) -> Iterator[str]:
    """Give the run to log to: the one named by `run_id`, left open, or a new one, closed at the end.

    Raises:
        UserError: the store has no run `run_id`.
    """
    from mlflow.exceptions import MlflowException

    if run_id is not None:
        try:
            client.get_run(run_id)
        except MlflowException as error:
            reason = f"no run {run_id} ({error.error_code})"
            raise UserError(f"{config.tracking_uri}: {reason}; check the run id") from None
        yield run_id
        return
    own_id = client.create_run(ensure_experiment(client, config), run_name=name).info.run_id
    try:
        yield own_id
    except BaseException:
        client.set_terminated(own_id, "FAILED")
        raise
    client.set_terminated(own_id, "FINISHED")
