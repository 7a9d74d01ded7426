"""A phase in workers of Ray Train: started, watched, started again after a loss, and its model fetched."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.ray_session import check_room, ray_session
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.tracking import CurveTarget
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.distributed.handover import load_trained
from d2vlm_pipeline.training.distributed.stopping import passing_on_signals
from d2vlm_pipeline.training.distributed.worker import TRAINED, Job, refusal_in, work
from d2vlm_pipeline.training.workers import TrainWorkers

if TYPE_CHECKING:
    from ray.train.v2.api.exceptions import WorkerGroupError

    from d2vlm_pipeline.model.bundle import ModelBundle
    from d2vlm_pipeline.training.distributed.launch import Phase
    from d2vlm_pipeline.training.running import Trained


_LOOK_EVERY_S = 0.2


def train_on_ray(
    name: str,
    phase: Phase,
    start: ModelBundle,
    config: TrainConfig,
    train: TrainWorkers,
    ray: RaySettings,
    curve: CurveTarget | None,
) -> Trained:
    """Train in as many workers as `train` says; see `launch`.

    Raises:
        UserError: what the phase says, no cluster or no room in it, or workers were lost again and again.
        Interrupted: the run was asked to stop.
    """
    # Read when ray.train is imported; the default of this version, said for all later ones.
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    with ray_session(ray, shows_output=True), _folder_of(name, train) as folder:
        cpus, gpus = train.workers * train.cpus_per_worker, train.workers * train.gpus_per_worker
        check_room(ray, "train", "train.workers or train.cpus_per_worker", cpus, gpus)
        job = Job(phase, start, Path.cwd(), folder, curve)
        with passing_on_signals(folder):
            _fit(name, job, train)
        return load_trained(start, folder / TRAINED)


@contextmanager
def _folder_of(name: str, train: TrainWorkers) -> Iterator[Path]:
    """A folder for this run of the phase alone; what killed runs have left there is removed."""
    storage = Path(train.storage).absolute()
    for left in sorted(storage.glob(f"{name}-*")):
        shutil.rmtree(left)
    folder = storage / f"{name}-{time.time_ns()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        # Workers on their way out may still write; the next run removes what they leave.
        shutil.rmtree(folder, ignore_errors=True)


def _fit(name: str, job: Job, train: TrainWorkers) -> None:
    """Run all workers to the end.

    Raises:
        UserError: what the phase says, or workers were lost more often than `train.max_failures` allows.
        Interrupted: the run was asked to stop.
    """
    import ray
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.config import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig
    from ray.train.v2.api.exceptions import WorkerGroupError

    trainer = TorchTrainer(
        work,
        # By reference: the configuration itself is copied to whoever takes part, the controller too.
        train_loop_config={"job": ray.put(job)},
        scaling_config=_scaling(train),
        run_config=RunConfig(  # type: ignore[arg-type]  # of the newer trainer, too
            name=job.folder.name,
            storage_path=str(job.folder.parent),
            checkpoint_config=CheckpointConfig(num_to_keep=1),  # pointers: what they point at is not Ray's
            failure_config=FailureConfig(max_failures=train.max_failures),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        _in_a_thread(trainer.fit)
    except WorkerGroupError as error:
        told = _told(name, job, train, error)
        if told is None:
            raise
        raise told from error
    if (refusal := refusal_in(job.folder)) is not None:
        raise refusal


def _in_a_thread(call: Callable[[], object]) -> None:
    """Call it and wait; signals go to whoever handles them in the meantime.

    In the main thread Ray Train would take SIGINT for itself and abort the workers; by that signal a node on
    Ray is told to stop behind its step.
    """
    done: Future[object] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    thread = Thread(target=run, name="ray train", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)  # Ray's own interruption of a task does not wake a thread that waits
    done.result()


def _told(name: str, job: Job, train: TrainWorkers, error: WorkerGroupError) -> UserError | None:
    """What a person can mend of a group that failed; None where nobody can."""
    failures = sorted(error.worker_failures.items())
    said = [failure for _, failure in failures if isinstance(failure, UserError)]
    if told := refusal_in(job.folder) or next(iter(said), None):
        return told
    lost = [rank for rank, failure in failures if _is_loss(failure)]
    if not lost:
        return None
    return UserError(
        f"{name}: lost training workers (rank {', '.join(map(str, lost))}) more than {train.max_failures} "
        "times, perhaps for want of memory; run it again to go on from its last checkpoint, or raise "
        "train.max_failures"
    )


def _scaling(train: TrainWorkers) -> Any:
    """What the workers get."""
    from ray.train.v2.api.config import ScalingConfig

    resources = {"CPU": train.cpus_per_worker, "GPU": train.gpus_per_worker}
    return ScalingConfig(
        num_workers=train.workers,
        use_gpu=train.gpus_per_worker > 0,
        resources_per_worker={kind: count for kind, count in resources.items() if count},
        placement_strategy=train.placement,
        accelerator_type=train.accelerator,
    )


def _is_loss(failure: Exception) -> bool:
    """Whether a worker's process is gone, or another one's was while this one waited for it."""
    from ray.exceptions import RayActorError

    # Ray 2.60 has no public name for it.
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    if isinstance(failure, (RayActorError, WorkerHealthCheckFailedError)):
        return True
    return isinstance(failure, RuntimeError) and "onnection" in str(failure)  # Gloo's and NCCL's words
