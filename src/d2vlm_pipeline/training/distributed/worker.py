"""What a worker of Ray Train does: the phase, as in the run's own process, as one of several."""

from __future__ import annotations

import json
import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import Interrupted, UserError, write_text_atomic
from d2vlm_pipeline.tracking import CurveTarget, LiveCurve
from d2vlm_pipeline.training.distributed.handover import save_trained
from d2vlm_pipeline.training.distributed.reported import ReportedPlace
from d2vlm_pipeline.training.distributed.stopping import told_to_stop
from d2vlm_pipeline.training.host import Host

if TYPE_CHECKING:
    from d2vlm_pipeline.model.bundle import ModelBundle
    from d2vlm_pipeline.training.distributed.launch import Phase

TRAINED = "trained"
"""Folder of what worker 0 hands back, below the run's."""
_REFUSED = "refused.json"


@dataclass(frozen=True)
class Job:
    """What every worker gets, through Ray's object store; features stay in the files of their store.

    Attributes:
        phase: what trains.
        start: the model to start from.
        home: the working directory of the run, where all relative paths begin.
        folder: the run's own, which all nodes see.
        curve: where worker 0 shows the curve.
    """

    phase: Phase
    start: ModelBundle
    home: Path
    folder: Path
    curve: CurveTarget | None


def work(given: dict[str, Any]) -> None:
    """The train function of Ray Train; what a person can mend is left in the run's folder.

    Raised, it would count as a failure, and the workers would be started again for nothing.
    """
    import ray
    from ray.train import get_context

    job: Job = ray.get(given["job"])
    context = get_context()
    if refusal_in(job.folder) is not None:
        return  # started again since others did not hear of it in time
    try:
        _train(job, context.get_world_rank(), context.get_world_size())
    except UserError as error:
        if not job.folder.is_dir():
            raise
        refuse(job.folder, error)
        _let_others_go()


def refuse(folder: Path, error: UserError) -> None:
    """Leave what a person can mend for the run to say."""
    signal = error.signal_number if isinstance(error, Interrupted) else None
    write_text_atomic(folder / _REFUSED, json.dumps({"message": str(error), "signal": signal}))


def refusal_in(folder: Path) -> UserError | None:
    """What a worker has refused to do, or why it stopped; None where all went to their end."""
    path = folder / _REFUSED
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["signal"] is not None:
        return Interrupted(found["message"], found["signal"])
    return UserError(found["message"])


def _train(job: Job, rank: int, workers: int) -> None:
    _settle(job.home, rank)
    with ExitStack() as stack:
        on_point = stack.enter_context(LiveCurve(job.curve)) if job.curve and rank == 0 else None
        stack.enter_context(told_to_stop(job.folder))
        host = Host(rank, workers, on_point, partial(ReportedPlace, folder=job.folder))
        trained = job.phase(job.start, host=host)
    if rank == 0:
        save_trained(trained, job.start, job.folder / TRAINED)


def _settle(home: Path, rank: int) -> None:
    """Make this process like the one that the run was started in; of all workers the first one speaks.

    Raises:
        UserError: the run's folder is not on this node.
    """
    from d2vlm_pipeline.orchestration.startup import prepare

    prepare()
    if not home.is_dir():
        raise UserError(f"{home}: not on node {os.uname().nodename}; put the project where all nodes see it")
    os.chdir(home)
    # As conf/logging.yml has it in the run's own process.
    for chatty in ("", "alembic", "mlflow", "ray.train"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logger = logging.getLogger("d2vlm_pipeline")
    logger.setLevel(logging.INFO if rank == 0 else logging.ERROR)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def _let_others_go() -> None:
    """A worker that leaves alone would be waited for until a time-out; like this, others fail at once."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
