"""The MLflow run that is open in this process, as explicit values to pass on."""

from __future__ import annotations

from dataclasses import dataclass

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.config import TrackingConfig


@dataclass(frozen=True)
class OpenRun:
    """A store and the id of a run in it."""

    tracking: TrackingConfig
    run_id: str


def current_run() -> OpenRun:
    """The run that kedro-mlflow opened for this `kedro run`.

    Raises:
        UserError: there is none.
    """
    import mlflow
    from mlflow.tracking import MlflowClient

    run = mlflow.active_run()
    if run is None:
        raise UserError(
            "no MLflow run is open: start the pipeline with `kedro run`, with MLflow not switched off"
        )
    uri = mlflow.get_tracking_uri()
    experiment = MlflowClient(tracking_uri=uri).get_experiment(run.info.experiment_id)
    tracking = TrackingConfig(
        tracking_uri=uri, artifact_root=experiment.artifact_location, experiment=experiment.name
    )
    return OpenRun(tracking, run.info.run_id)
