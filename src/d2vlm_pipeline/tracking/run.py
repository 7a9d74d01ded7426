"""The MLflow run of this `kedro run`, as explicit values to pass on."""

from __future__ import annotations

from dataclasses import dataclass

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.config import TrackingConfig


@dataclass(frozen=True)
class OpenRun:
    """A store and the id of a run in it."""

    tracking: TrackingConfig
    run_id: str


@dataclass
class _Given:
    """What a worker was given; `is_set` with no run: tracking is switched off. And the store of a session."""

    is_set: bool = False
    run: OpenRun | None = None
    store: TrackingConfig | None = None


_given = _Given()


def use_run(run: OpenRun | None) -> None:
    """In a worker of a run: log to this one from now on, or to none.

    MLflow's own notion of an active run stays out of it: a worker that ends would end the run with it.
    """
    _given.is_set, _given.run = True, run


def use_store(store: TrackingConfig) -> None:
    """Runs that kedro-mlflow opens in this process lie in this store."""
    _given.store = store


def find_run() -> OpenRun | None:
    """The run that this process was given, or that kedro-mlflow opened in it; None where there is none."""
    if _given.is_set:
        return _given.run
    import mlflow
    from mlflow.tracking import MlflowClient

    active = mlflow.active_run()
    if active is None:
        return None
    uri = mlflow.get_tracking_uri()
    if _given.store is not None and _given.store.tracking_uri == uri:
        return OpenRun(_given.store, active.info.run_id)
    experiment = MlflowClient(tracking_uri=uri).get_experiment(active.info.experiment_id)
    tracking = TrackingConfig(
        tracking_uri=uri, artifact_root=experiment.artifact_location, experiment=experiment.name
    )
    return OpenRun(tracking, active.info.run_id)


def find_store() -> TrackingConfig | None:
    """The store of this session, also where no run is open; None where nobody has named one."""
    run = find_run()
    return _given.store if run is None else run.tracking


def current_store() -> TrackingConfig:
    """The store of this `kedro run`, to read from.

    Raises:
        UserError: there is none.
    """
    store = find_store()
    if store is None:
        raise UserError("no MLflow store is known: start the pipeline with `kedro run`")
    return store


def current_run() -> OpenRun:
    """The run of this `kedro run`.

    Raises:
        UserError: there is none.
    """
    run = find_run()
    if run is None:
        raise UserError(
            "no MLflow run is open: start the pipeline with `kedro run`, with MLflow not switched off"
        )
    return run
