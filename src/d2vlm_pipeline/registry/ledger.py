"""Cells that can be written once: parameters of one MLflow run, whichever machine writes them.

MLflow refuses another value for a parameter that a run has, on every backend. That is the compare-and-set
which its aliases lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# The cell that decides which of several runs is the ledger, if machines made them at the same time.
FIRST_CELL = "entry-000001"
_GIVEN_UP = "another run holds the log"


@dataclass(frozen=True)
class Ledger:
    """One run whose parameters are the cells."""

    client: MlflowClient
    run_id: str

    def cells(self) -> dict[str, str]:
        """What is written."""
        return dict(self.client.get_run(self.run_id).data.params)

    def write(self, cell: str, value: str) -> bool:
        """Write a cell; whether it holds the value now, and not another that was there before."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.log_param(self.run_id, cell, value)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE" or self.cells().get(cell) in (None, value):
                raise
            return False
        return True


def experiment_name(tracking: TrackingConfig) -> str:
    """The experiment that holds the ledger."""
    return f"{tracking.experiment}-audit"


def find_ledger(client: MlflowClient, tracking: TrackingConfig) -> Ledger | None:
    """The ledger that has entries; None where there is none yet.

    Raises:
        UserError: it was deleted, or there are two.
    """
    return _begun(client, tracking, _live_runs(client, tracking))


def open_ledger(client: MlflowClient, tracking: TrackingConfig) -> Ledger:
    """The ledger, made where there is none; errors of `find_ledger`.

    Two machines may make one at once. Each lists the runs after it has made its own, agrees on the first, and
    gives up every other run it sees by writing into the very cell that the first entry would need: so no two
    runs can both get a first entry.
    """
    runs = _live_runs(client, tracking)
    if not _usable(runs):
        _make_run(client, tracking)
        runs = _live_runs(client, tracking)
    if (found := _begun(client, tracking, runs)) is not None:
        return found
    usable = _usable(runs)
    if not usable:  # another machine gave ours up meanwhile, for its own
        return open_ledger(client, tracking)
    chosen, *others = (Ledger(client, run_id) for run_id in usable)
    for other in others:
        if not other.write(FIRST_CELL, _GIVEN_UP):  # it has got its first entry meanwhile
            return other
    return chosen


def _begun(client: MlflowClient, tracking: TrackingConfig, runs: Sequence[Run]) -> Ledger | None:
    held = [run for run in runs if FIRST_CELL in run.data.params]
    name = experiment_name(tracking)
    if len(held) > 1:
        raise UserError(
            f"{name}: {len(held)} runs hold an audit log ({', '.join(run.info.run_id for run in held)}); "
            "bring the tracking store back from a backup"
        )
    if held and held[0].info.lifecycle_stage == "deleted":
        raise UserError(
            f"{name}: the audit log was deleted; `mlflow runs restore --run-id {held[0].info.run_id}`"
        )
    return Ledger(client, held[0].info.run_id) if held else None


def _usable(runs: Sequence[Run]) -> list[str]:
    """Ids of runs that are the ledger or could become it, in an order that all machines agree on."""
    return sorted(
        run.info.run_id
        for run in runs
        if run.info.lifecycle_stage == "active" or FIRST_CELL in run.data.params
    )


def _make_run(client: MlflowClient, tracking: TrackingConfig) -> None:
    config = tracking.model_copy(update={"experiment": experiment_name(tracking)})
    run = client.create_run(ensure_experiment(client, config), run_name="audit log")
    client.set_terminated(run.info.run_id, "FINISHED")


def _live_runs(client: MlflowClient, tracking: TrackingConfig) -> list[Run]:
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(experiment_name(tracking))
    if experiment is None:
        return []
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    return [run for run in runs if run.data.params.get(FIRST_CELL) != _GIVEN_UP]
