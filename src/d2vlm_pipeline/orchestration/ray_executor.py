"""Kedro's tasks as Ray tasks: values handed on, lost workers replaced, the rest stopped when one fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.hooks.reports import ReportsBack
from d2vlm_pipeline.orchestration.node_resources import Share
from d2vlm_pipeline.orchestration.ray_handed import HandedOn
from d2vlm_pipeline.orchestration.ray_worker import Failure, Luggage, Order, Outcome, run_node

if TYPE_CHECKING:
    from kedro.pipeline.node import Node
    from kedro.runner.task import Task

logger = logging.getLogger(__name__)

GRACE_S = 30.0
"""How long a node that is told to stop has to put its things in order."""


@dataclass(frozen=True)
class Crew:
    """What the nodes of one run share.

    Attributes:
        luggage: what every worker gets.
        hooks: those that travel.
        shares: what each node gets, by name.
        spread: names of nodes that hand their work to workers of their own.
        says: called with a node as it is handed to Ray, in the thread that hands it.
    """

    luggage: Luggage
    hooks: Sequence[Any]
    shares: Mapping[str, Share]
    spread: frozenset[str]
    says: Callable[[Task], None]


class RemoteTraceback(Exception):
    """The traceback of a worker, shown above the one of the run."""

    def __str__(self) -> str:
        return f"in a Ray worker:\n{self.args[0]}"


class RayExecutor(Executor):
    """Runs Kedro's tasks on Ray, each in a worker of its own while it lasts.

    A thread waits for each node; Ray decides when and where the node starts. Of nodes that have workers of
    their own (`Crew.spread`) one runs at a time: two might each hold what the other waits for.
    """

    def __init__(self, crew: Crew) -> None:
        """Send the luggage to where workers find it."""
        import ray

        self._crew = crew
        self._luggage = ray.put(crew.luggage)
        self._threads = ThreadPoolExecutor(max(1, len(crew.shares)), thread_name_prefix="ray-node")
        self._checked: frozenset[str] = frozenset()
        self._running: set[Any] = set()
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._is_stopping = False

    def submit(self, task: Task, /, *args: Any, **kwargs: Any) -> Future[Node]:  # type: ignore[override]
        """Hand a node to Ray."""
        self._crew.says(task)
        return self._threads.submit(self._run, task)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more nodes."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Where the run goes on no further, stop the nodes that still run."""
        if kind is not None:
            self._stop()
        self.shutdown(cancel_futures=kind is not None)

    def _stop(self) -> None:
        """Interrupt nodes as Ctrl-C does; kill those that do not end."""
        import ray

        with self._lock:
            self._is_stopping = True
            running = list(self._running)
        if not running:
            return
        logger.warning("stopping %d nodes that still run", len(running))
        for ref in running:
            ray.cancel(ref)
        _, left = ray.wait(running, num_returns=len(running), timeout=GRACE_S)
        for ref in left:
            ray.cancel(ref, force=True)

    def _run(self, task: Task) -> Node:
        name = task.node.name
        with self._alone if name in self._crew.spread else _no_turn():
            outcome = self._outcome(task)
        with self._lock:
            self._checked |= outcome.checked
            for place, report in outcome.reports.items():
                hook = self._crew.hooks[place]
                assert isinstance(hook, ReportsBack)
                hook.take_in(report)
        if outcome.failure is not None:
            logger.error("node %s failed: %s", name, outcome.failure.summary)
            raise _raised(outcome.failure)
        for dataset, value in outcome.handed.items():
            HandedOn.of(task.catalog, dataset).hold(value)
        return task.node

    def _outcome(self, task: Task) -> Outcome:
        """Of a node, whose worker may be lost a few times."""
        from ray import exceptions

        lost = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
        )
        name, retries = task.node.name, self._crew.shares[task.node.name].retries
        for attempt in range(1, retries + 2):
            try:
                return self._attempt(task)
            except lost as error:
                reason = _reason(error)
                if attempt <= retries:
                    logger.warning("node %s lost its Ray worker (%s); attempt %d", name, reason, attempt + 1)
        raise UserError(
            f"{name}: its Ray worker was lost {retries + 1} times, at last because {reason}; give it more in "
            f"node_resources (memory_mb, retries) of ray.yml; the same command goes on from here"
        )

    def _attempt(self, task: Task) -> Outcome:
        import ray
        from ray import cloudpickle

        share = self._crew.shares[task.node.name]
        held = {name: HandedOn.find(task.catalog, name) for name in task.node.inputs}
        takes = {name: dataset.ref for name, dataset in held.items() if dataset is not None}
        order = Order(
            task.node,
            task.run_id,
            task.is_async,
            tuple(takes),
            tuple(name for name in task.node.outputs if HandedOn.find(task.catalog, name) is not None),
            self._checked,
        )
        remote: Any = ray.remote(run_node)
        options = remote.options(
            name=task.node.name,
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            memory=share.memory_mb << 20 or None,
            max_retries=0,  # tried again here, where it is seen and counted
        )
        with self._lock:
            if self._is_stopping:
                raise CancelledError
            ref = options.remote(self._luggage, cloudpickle.dumps(order), *takes.values())
            self._running.add(ref)
        try:
            outcome: Outcome = ray.get(ref)
        finally:
            with self._lock:
                self._running.discard(ref)
        return outcome


@contextmanager
def _no_turn() -> Iterator[None]:
    yield


def _raised(failure: Failure) -> Exception:
    """What the node raised, to be raised here."""
    from ray import cloudpickle

    error = cloudpickle.loads(failure.error) if failure.error else RuntimeError(failure.summary)
    assert isinstance(error, Exception)
    if failure.said is not None and not isinstance(error, UserError):
        return UserError(failure.said)  # pickled, an error has lost the one that it was raised from
    error.__cause__ = RemoteTraceback(failure.traceback)
    return error


def _reason(error: Exception) -> str:
    from ray import exceptions

    if isinstance(error, exceptions.OutOfMemoryError):
        return "memory ran out"
    if isinstance(error, exceptions.NodeDiedError | exceptions.ObjectLostError):
        return "its machine is gone"
    return "it was killed"
