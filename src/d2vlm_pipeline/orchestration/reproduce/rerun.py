"""`kedro run` of the recorded nodes, in the checkout, with the checkout's code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.orchestration.reproduce.environment import ENVIRONMENT
from d2vlm_pipeline.tracking import tracking_client
from d2vlm_pipeline.tracking.git_state import without_foreign
from d2vlm_pipeline.tracking.lineage import Lineage, find_lineage

LOG = "reproduced.log"
_DEFAULT = "__default__"
# What a person set for runs of another project, or of another environment.
_FOREIGN = (
    "KEDRO_ENV",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_NAME",
)


def run_again(project: Path, pipelines: Sequence[str], nodes: Sequence[str]) -> Path:
    """Run the nodes in a process of their own; what it prints goes to a file of the checkout, `LOG`.

    Raises:
        UserError: the run failed; names its last line.
    """
    named = [name for name in pipelines if name != _DEFAULT]
    arguments = ["run", "--env", ENVIRONMENT, "--force", "--nodes", ",".join(nodes)]
    arguments += ["--pipelines", ",".join(named)] if named else []
    log = project / LOG
    with log.open("wb") as stream:
        code = subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            env=_environment(project),
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        said = [
            line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
        last = said[-1] if said else "nothing was said"
        raise UserError(f"the run in {project} ended with exit code {code}: {last}; see {log}")
    return log


def run_of(project: Path) -> tuple[str, Lineage]:
    """Id and lineage of the one run that the checkout's store has.

    Raises:
        UserError: the code of the commit logs no lineage.
    """
    tracking = tracking_config(project, ENVIRONMENT)
    client = tracking_client(tracking)
    experiment = client.get_experiment_by_name(tracking.experiment)
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id])
    for run in runs:
        lineage = find_lineage(tracking, run.info.run_id)
        if lineage is not None:
            return str(run.info.run_id), lineage
    raise UserError(f"{project}: the run made there has logged no lineage; the commit is older than that")


def _environment(project: Path) -> dict[str, str]:
    known = {name: value for name, value in without_foreign().items() if name not in _FOREIGN}
    path = os.pathsep.join(filter(None, [str(project / "src"), known.get("PYTHONPATH", "")]))
    return {**known, "PYTHONPATH": path, "DO_NOT_TRACK": "1"}
