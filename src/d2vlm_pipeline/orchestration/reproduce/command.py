"""`d2vlm reproduce`: rebuild a run from its lineage in a clean checkout, and say what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.orchestration.project import find_project, tracking_config
from d2vlm_pipeline.orchestration.reproduce.checkout import check_out
from d2vlm_pipeline.orchestration.reproduce.compare import (
    Comparison,
    made_otherwise,
    output_rows,
    score_rows,
    scores_of_ended,
)
from d2vlm_pipeline.orchestration.reproduce.environment import ENVIRONMENT, inside, write_environment
from d2vlm_pipeline.orchestration.reproduce.inputs import Link, linked_files, linked_inputs
from d2vlm_pipeline.orchestration.reproduce.recorded import (
    Recorded,
    read_recorded,
    require_packages,
    scores_of,
)
from d2vlm_pipeline.orchestration.reproduce.rerun import run_again, run_of
from d2vlm_pipeline.orchestration.reproduce.volatile import MEASURED_METRICS, volatile_rows
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.record import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2vlm_pipeline.orchestration.staleness.plan import Place
    from d2vlm_pipeline.tracking.lineage import Lineage

_PLACE = "build/reproduced"
_OWN = "d2vlm-pipeline"


class Reproduction(StrictModel):
    """What became of a run that was made again.

    Attributes:
        run_id: of the recorded run.
        folder: the checkout.
        found_run: of the run that was made there.
        is_same: whether nothing differs that could be the same.
        despite: packages that differ, and were said not to matter.
    """

    run_id: str
    folder: str
    found_run: str
    is_same: bool
    despite: list[str]
    comparison: Comparison


def reproduce(run_id: str, env: str, into: Path | None, is_despite_lock: bool) -> Reproduction:
    """Rebuild a run of an environment's store and hold the two against each other.

    Args:
        run_id: of the recorded run.
        env: whose store has it.
        into: folder of the checkout; by default one below build/ of the project.
        is_despite_lock: whether packages may differ from those that the run had.

    Raises:
        UserError: it cannot be rebuilt; names what is missing.
    """
    from d2vlm_pipeline.tracking.machine import installed_packages

    root = find_project()
    tracking = tracking_config(root, env)
    recorded = read_recorded(tracking, run_id)
    despite = require_packages(recorded.lineage, installed_packages(), _OWN, is_despite_lock)
    folder = (into or root / _PLACE / run_id[:12]).absolute()
    links = _links(recorded, root, folder / recorded.lineage.git.folder)
    project = check_out(root, recorded.lineage.git, recorded.patch, folder)
    write_environment(recorded.configuration, project)
    for link in links:
        link.make()
    run_again(project, recorded.lineage.pipelines, recorded.nodes)
    found_run, found = run_of(project)
    comparison = _compare(recorded, found, found_run, root, project)
    return Reproduction(
        run_id=run_id,
        folder=str(folder),
        found_run=found_run,
        is_same=comparison.is_same,
        despite=despite,
        comparison=comparison,
    )


def _compare(recorded: Recorded, found: Lineage, found_run: str, root: Path, project: Path) -> Comparison:
    contents = _contents(root, recorded)
    volatile = volatile_rows(recorded.lineage, found.outputs, root, project, contents)
    scores = scores_of(tracking_config(project, ENVIRONMENT), found_run)
    before = scores_of_ended(recorded.scores, scores, recorded.lineage.outcome)
    differing, same = score_rows(before, scores, MEASURED_METRICS)
    return Comparison(
        outputs=output_rows(recorded.lineage, found.outputs, volatile),
        scores=differing,
        scores_same=same,
        made_otherwise=made_otherwise(recorded.lineage, found),
        left_out=recorded.lineage.nodes.outside,
    )


def _links(recorded: Recorded, root: Path, project: Path) -> list[Link]:
    """What is to be brought into the checkout; nothing is there yet."""
    contents = _contents(root, recorded)
    links = linked_inputs(recorded.lineage, root, contents, _places(project, recorded))
    return links + linked_files(recorded.lineage, root, contents, project)


def _contents(root: Path, recorded: Recorded) -> Contents:
    return Contents(root / recorded.configuration["globals"]["data_root"] / FOLDER / "read.json")


def _places(project: Path, recorded: Recorded) -> Mapping[str, Place]:
    """Where inputs lie in the checkout."""
    from kedro.framework.context.context import _convert_paths_to_absolute_posix
    from kedro.io import DataCatalog

    from d2vlm_pipeline.orchestration.lineage.data import places_of

    entries = inside(recorded.configuration)["catalog"]
    catalog = DataCatalog.from_config(_convert_paths_to_absolute_posix(project, entries))
    return places_of(catalog, recorded.lineage.inputs)


def lines_of(found: Reproduction) -> list[str]:
    """What is said below the table."""
    comparison = found.comparison
    lines = [f"made otherwise: {line}" for line in comparison.made_otherwise]
    lines += [f"not run again: {name} follows the champion" for name in comparison.left_out]
    lines += [f"score {row.name}: {row.recorded} → {row.found}" for row in comparison.scores]
    lines.append(f"{comparison.scores_same} scores are the same, {len(comparison.scores)} differ")
    first = comparison.first
    if found.is_same:
        lines.append(f"same: run {found.run_id} is what its lineage makes ({found.folder})")
    elif first is not None:
        lines.append(f"differs: first {first.name}, made by {first.node} ({found.folder})")
    else:
        lines.append(f"differs: outputs are the same, scores are not ({found.folder})")
    return lines
