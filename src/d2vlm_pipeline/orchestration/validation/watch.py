"""Which guards ran during a run, whatever process they ran in: told by what they wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kedro.io import CatalogProtocol, DataCatalog

from d2vlm_pipeline.orchestration.validation.guard import SuiteGuard
from d2vlm_pipeline.orchestration.validation.outcome import Outcome, load_outcome, outcome_changed_ns

_GUARD = f"{SuiteGuard.__module__.rpartition('.')[0]}.{SuiteGuard.__name__}"


class GuardWatch:
    """Made before a run; asked at its end."""

    def __init__(self, catalog: CatalogProtocol) -> None:
        """Note how things stand."""
        self._results = _guarded(catalog)
        self._before_ns = {name: outcome_changed_ns(place, name) for name, place in self._results.items()}

    def outcomes(self) -> list[Outcome]:
        """What the guards have found since then, by dataset."""
        changed = [
            (name, place)
            for name, place in sorted(self._results.items())
            if outcome_changed_ns(place, name) != self._before_ns[name]
        ]
        found = [load_outcome(place, name) for name, place in changed]
        return [outcome for outcome in found if outcome is not None]

    def places(self) -> dict[Path, list[str]]:
        """Folders of results into which guards have written since then, with whose results are new."""
        written: dict[Path, list[str]] = {}
        for outcome in self.outcomes():
            written.setdefault(self._results[outcome.dataset], []).append(outcome.dataset)
        return written


def validation_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """What a summary says: how much was checked, then every failure that the run survived."""
    outcomes = list(outcomes)
    if not outcomes:
        return []
    failures = [outcome.line(check) for outcome in outcomes for check in outcome.failed()]
    count = sum(len(outcome.checks) for outcome in outcomes)
    verdict = "all hold" if not failures else f"{len(failures)} warning{'s' if len(failures) > 1 else ''}"
    return [f"{count} expectations on {len(outcomes)} datasets: {verdict}", *failures]


def _guarded(catalog: CatalogProtocol) -> dict[str, Path]:
    """Folder of results by the name under which the guard writes."""
    if not isinstance(catalog, DataCatalog):
        return {}
    options = [spec.options for spec in catalog.validator_specs.values() if spec.class_path == _GUARD]
    return {option["dataset"]: Path(option["results"]["filepath"]) for option in options}
