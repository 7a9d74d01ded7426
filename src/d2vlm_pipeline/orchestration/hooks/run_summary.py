"""What a person wants to know when a run ends: scores, time, memory, and where everything is."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset, short_path
from d2vlm_pipeline.orchestration.hooks.dry_run import DECISION, is_dry_run
from d2vlm_pipeline.orchestration.hooks.reports import ReportsBack
from d2vlm_pipeline.orchestration.memory import PeakMemory
from d2vlm_pipeline.orchestration.project import SQLITE
from d2vlm_pipeline.orchestration.stages import in_order
from d2vlm_pipeline.orchestration.staleness.selection import SKIPPED
from d2vlm_pipeline.orchestration.summary import Summary, print_summary
from d2vlm_pipeline.orchestration.validation.outcome import DOCS
from d2vlm_pipeline.orchestration.validation.watch import GuardWatch, validation_lines


@dataclass
class _Run:
    """Clock readings of one run."""

    start_s: float
    memory: PeakMemory
    guards: GuardWatch


@dataclass
class _Times:
    """When nodes began and ended, by this process's clock."""

    first_s: dict[str, float] = field(default_factory=dict)
    last_s: dict[str, float] = field(default_factory=dict)

    def seconds(self) -> dict[str, float]:
        """Of each node that has ended."""
        return {node: last_s - self.first_s[node] for node, last_s in self.last_s.items()}


class RunSummaryHooks(ReportsBack):
    """Measures the run and prints the summary at its end.

    A node's time includes loading and saving: lazily produced outputs are computed while they are saved.
    Times of nodes that ran on Ray come from there; ParallelRunner calls no hooks, and its nodes have none.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._run: _Run | None = None
        self._times = _Times()
        self._elsewhere_s: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For workers: the run is measured where it was started, its nodes where they run."""
        return {"_run": None, "_times": _Times(), "_elsewhere_s": {}}

    def report(self) -> dict[str, float]:
        """Seconds of the node that ran here."""
        return self._times.seconds()

    def take_in(self, report: dict[str, float]) -> None:
        """Seconds of a node that ran elsewhere."""
        self._elsewhere_s.update(report)

    @hook_impl(trylast=True)
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Start the clock, after every other hook has agreed to the run."""
        self._times, self._elsewhere_s = _Times(), {}
        self._run = _Run(time.perf_counter(), PeakMemory(), GuardWatch(catalog))
        self._run.memory.start()

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Begin the node's time with its first input …"""
        self._note_start(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """… or, without inputs, with its function."""
        self._note_start(node)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """End the node's time with its function …"""
        self._note_end(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """… or with its last output."""
        self._note_end(node)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stop sampling; the error speaks for itself."""
        if self._run:
            self._run.memory.stop()
            self._run = None

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the summary."""
        if self._run is None:  # hooks called by a worker process, where no run was started
            return
        run, self._run = self._run, None
        undone = {DECISION} if is_dry_run(pipeline, catalog) else set[str]()
        places = _places(pipeline, catalog, undone) | _docs(run.guards)
        print_summary(
            Summary(
                seconds=_seconds_per_pipeline({**self._times.seconds(), **self._elsewhere_s}),
                total_s=time.perf_counter() - run.start_s,
                peak_bytes=run.memory.stop(),
                metrics=_produced(pipeline, catalog, "metrics"),
                decision=None if undone else _produced(pipeline, catalog, DECISION),
                places={**places, "MLflow": _mlflow_command()},
                validation=validation_lines(run.guards.outcomes()),
                up_to_date=len(SKIPPED.get()),
            )
        )

    def _note_start(self, node: Node) -> None:
        self._times.first_s.setdefault(node.name, time.perf_counter())

    def _note_end(self, node: Node) -> None:
        self._times.last_s[node.name] = time.perf_counter()


def _seconds_per_pipeline(seconds_of: dict[str, float]) -> dict[str, float]:
    """Sum of node times by the first stage that holds the node."""
    names = in_order(name for name in pipelines if name != "__default__")
    home = {node.name: name for name in reversed(names) for node in pipelines[name].nodes}
    seconds: dict[str, float] = {}
    for node, spent_s in seconds_of.items():
        stage = home.get(node, "other")
        seconds[stage] = seconds.get(stage, 0.0) + spent_s
    return {name: seconds[name] for name in in_order(seconds)}


def _produced(pipeline: Pipeline, catalog: CatalogProtocol, name: str) -> Any:
    """Content of a dataset if this run wrote it, else None."""
    return catalog.load(name) if name in pipeline.all_outputs() else None


def _places(pipeline: Pipeline, catalog: CatalogProtocol, undone: set[str]) -> dict[str, str]:
    """Paths of what this run wrote and the catalog's metadata asks to `announce`, in the order of writing."""
    written = [name for node in pipeline.nodes for name in node.outputs if name not in undone]
    datasets = [catalog.get(name) for name in written]
    return {
        dataset.metadata["announce"]: short_path(dataset.path)
        for dataset in datasets
        if isinstance(dataset, PersistedDataset) and "announce" in dataset.metadata and dataset.exists()
    }


def _docs(guards: GuardWatch) -> dict[str, str]:
    """The Data Docs that this run has brought up to date."""
    places = ", ".join(short_path(place / DOCS / "index.html") for place in guards.places())
    return {"Data Docs": places} if places else {}


def _mlflow_command() -> str:
    import mlflow

    uri = mlflow.get_tracking_uri()
    if not uri.startswith(SQLITE):
        return uri
    return f"mlflow ui --backend-store-uri {SQLITE}{short_path(Path(uri.removeprefix(SQLITE)))}"
