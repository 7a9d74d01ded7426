"""What a person reads first on a run's page in MLflow: what ran, its scores, the verdict, where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from d2vlm_pipeline.tracking.client import tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig

_NOTE = "mlflow.note.content"
# As many characters as MLflow's tables have room for.
_LONGEST = 8000
_GATES = "promotion/gates.json"
# What an artifact of the run is good for, in the order of reading.
_PLACES = {
    "report": "report/report.html",
    "samples": "samples",
    "promotion": _GATES,
    "lineage": "lineage/lineage.json",
    "metrics.json": "metrics.json",
    "studies.json": "studies.json",
}
_WORDS = {
    "report": "scores with intervals, curves, and a gallery of answers",
    "samples": "a few answers as pictures: frames, true and claimed intervals",
    "promotion": "every gate with figure, threshold and margin",
    "lineage": "code, configuration, data and machine; `d2vlm reproduce` reads it",
    "metrics.json": "all scores as JSON",
    "studies.json": "all studies as JSON",
}


@dataclass(frozen=True)
class RunPage:
    """What a run's page says.

    Attributes:
        pipelines: what was asked for, in order.
        env: the environment.
        ran: number of nodes that ran.
        skipped: number of nodes that were up to date.
        headline: percent by split, system, task and metric, where the run scored something.
        verdict: Markdown on the decision, where the run took one.
        gates: a record for every gate of it.
    """

    pipelines: Sequence[str]
    env: str
    ran: int
    skipped: int
    headline: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]] | None = None
    verdict: str | None = None
    gates: Sequence[Mapping[str, str]] = ()


def log_run_page(tracking: TrackingConfig, run_id: str, page: RunPage) -> None:
    """Write the run's description, and the table of gates as an artifact that MLflow shows as a table."""
    client = tracking_client(tracking)
    if page.gates:
        columns = {name: [gate[name] for gate in page.gates] for name in page.gates[0]}
        client.log_table(run_id, columns, _GATES)
    there = {artifact.path for artifact in client.list_artifacts(run_id)}
    experiment = client.get_run(run_id).info.experiment_id
    home = f"#/experiments/{experiment}/runs/{run_id}/artifacts"
    client.set_tag(run_id, _NOTE, shortened(description(page, there, home)))


def description(page: RunPage, there: set[str], home: str) -> str:
    """The page as Markdown.

    Args:
        page: what to say.
        there: first parts of the paths of the run's artifacts; only these are linked.
        home: address of the artifacts in MLflow's pages.
    """
    nodes = f"{page.ran} nodes ran" + (f", {page.skipped} were up to date" if page.skipped else "")
    parts = [f"**{' → '.join(page.pipelines)}** in environment `{page.env}`: {nodes}."]
    for split, systems in (page.headline or {}).items():
        parts += [f"### Scores on {split}, percent", _table(systems)]
    if page.verdict is not None:
        parts += ["### Promotion", page.verdict]
    links = [
        f"- [{_PLACES[name]}]({home}/{_PLACES[name]}): {_WORDS[name]}" for name in _PLACES if name in there
    ]
    if links:
        parts += ["### Where to look", "\n".join(links)]
    return "\n\n".join(parts) + "\n"


def shortened(text: str) -> str:
    """A text that MLflow takes: whole lines, and a word where some are left out."""
    if len(text) <= _LONGEST:
        return text
    note = "\n… (cut: MLflow keeps no longer descriptions)\n"
    return text[: _LONGEST - len(note)].rpartition("\n")[0] + note


def _table(systems: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    rows = dict.fromkeys(
        (task, metric) for tasks in systems.values() for task, metrics in tasks.items() for metric in metrics
    )
    lines = [f"| task | metric | {' | '.join(systems)} |", f"|---|---|{'---:|' * len(systems)}"]
    for task, metric in rows:
        cells = [_cell(tasks.get(task, {}).get(metric)) for tasks in systems.values()]
        lines.append(f"| {task} | {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.1f}"
