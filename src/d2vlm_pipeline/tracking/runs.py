"""Runs side by side: what they scored, how they were configured, how they learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.client import tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

_COUNT = ".unparsed"


@dataclass(frozen=True)
class PastRun:
    """A run of the store's experiment, as far as people compare runs.

    Attributes:
        metrics: last value by name, percent for scores.
        params: text by dotted name.
    """

    run_id: str
    name: str
    status: str
    started: datetime
    metrics: Mapping[str, float]
    params: Mapping[str, str]

    @property
    def label(self) -> str:
        """Name and the beginning of the id: names come twice."""
        return f"{self.name} ({self.run_id[:8]})"


def list_runs(tracking: TrackingConfig, most: int = 50) -> list[PastRun]:
    """The runs of the experiment, newest first.

    Raises:
        UserError: nothing was ever run there.
    """
    nothing = f"no run of {tracking.experiment} yet; run `kedro run` first"
    missing = UserError(f"{tracking.tracking_uri}: {nothing}")
    if tracking.database is not None and not tracking.database.is_file():
        raise missing
    client = tracking_client(tracking)
    experiment = client.get_experiment_by_name(tracking.experiment)
    if experiment is None:
        raise missing
    found = client.search_runs(
        [experiment.experiment_id], max_results=most, order_by=["attributes.start_time DESC"]
    )
    return [_past_run(run) for run in found]


def score_table(runs: Sequence[PastRun], system: str, split: str) -> pd.DataFrame:
    """Scores of a system on a split: a row for each `task/metric`, a column for each run, percent."""
    import pandas as pd

    prefix = f"{system}/{split}/"
    columns = {
        run.label: {
            name.removeprefix(prefix): value
            for name, value in run.metrics.items()
            if name.startswith(prefix) and not name.endswith(_COUNT)
        }
        for run in runs
    }
    return pd.DataFrame(columns).sort_index()


def differing_parameters(one: PastRun, other: PastRun) -> pd.DataFrame:
    """Parameters in which two runs differ: a row for each, a column for each run; empty: not there."""
    import pandas as pd

    names = sorted(one.params.keys() | other.params.keys())
    rows = {
        name: {one.label: one.params.get(name, ""), other.label: other.params.get(name, "")}
        for name in names
        if one.params.get(name) != other.params.get(name)
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[one.label, other.label])


def curve(tracking: TrackingConfig, run: PastRun, metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of a metric that was logged step by step; empty where the run has none."""
    points = tracking_client(tracking).get_metric_history(run.run_id, metric)
    points = sorted(points, key=lambda point: point.step)
    return [point.step for point in points], [point.value for point in points]


def _past_run(run: Run) -> PastRun:
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    name = run.info.run_name or run.info.run_id
    return PastRun(
        run.info.run_id, name, run.info.status, started, dict(run.data.metrics), dict(run.data.params)
    )
