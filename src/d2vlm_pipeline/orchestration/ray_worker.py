"""What happens in a Ray worker: one node, with its hooks and guards, as in the run's own process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.errors import user_error_in
from d2vlm_pipeline.orchestration.hooks.reports import ReportsBack
from d2vlm_pipeline.tracking import OpenRun, TrackingConfig

if TYPE_CHECKING:
    from kedro.io import DataCatalog
    from kedro.pipeline.node import Node
    from pluggy import PluginManager

# kedro-mlflow lives on the active run of its process, which a worker that ends would end: what it logs of a
# node, its parameters, is logged where the run was started.
STAYS_BEHIND = "kedro_mlflow"
_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Luggage:
    """What every worker of a run gets.

    Attributes:
        package: the project's package; None outside a project.
        logging: settings of logging.
        folder: the working directory.
        path: where modules are looked up.
        threads: `OMP_NUM_THREADS` of the run: left alone, Ray sets it by the cores that it sets aside.
        run: the MLflow run.
        store: the MLflow store, also where no run is open.
        kept: the catalog and the hooks, pickled together: hooks hold the catalog that nodes use.
        plugins: distributions whose hooks are loaded afresh.
    """

    package: str | None
    logging: dict[str, Any]
    folder: str
    path: tuple[str, ...]
    threads: str | None
    run: OpenRun | None
    store: TrackingConfig | None
    kept: bytes
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """One node to run.

    Attributes:
        node: the node.
        run_id: of the Kedro run.
        is_async: whether Kedro loads and saves in threads.
        takes: inputs that other nodes hand over in memory; their values come with the order.
        gives: outputs that are handed on in memory.
        checked: datasets whose guards have passed what was saved in this run.
    """

    node: Node
    run_id: str | None
    is_async: bool
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    checked: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a node.

    Attributes:
        handed: pickled values of the outputs that are handed on in memory.
        checked: see `Order`.
        reports: what hooks noted, by their place among the hooks.
        failure: why there is no output.
    """

    handed: dict[str, bytes] = field(default_factory=dict)
    checked: frozenset[str] = frozenset()
    reports: dict[int, Any] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True)
class Failure:
    """What a node raised.

    Attributes:
        said: the line of a `UserError`; None of any other error.
        error: the error, pickled; None where it cannot be.
        summary: kind and message of the error.
        traceback: of the worker, as text.
    """

    said: str | None
    error: bytes | None
    summary: str
    traceback: str


def run_node(luggage: Luggage, pickled: bytes, *values: bytes) -> Outcome:
    """Run the node of an `Order`: load, call, save, with every hook and guard on the way."""
    from kedro.runner.task import Task
    from ray import cloudpickle

    _settle(luggage)
    order: Order = cloudpickle.loads(pickled)  # not before modules are looked up where the run does
    catalog, hooks = cloudpickle.loads(luggage.kept)
    _mark_checked(catalog, order.checked)
    for name, value in zip(order.takes, values, strict=True):
        # Past the catalog: it was saved, and its guard has passed it, where it was made.
        catalog.get(name).save(cloudpickle.loads(value))
    manager = _manager(hooks, luggage.plugins)
    try:
        with _told_to_stop():
            Task(order.node, catalog, order.is_async, manager, order.run_id).execute()
        handed = {name: _packed(order.node, name, catalog.get(name).load()) for name in order.gives}
    except Exception as error:  # whatever it is, it is raised again where the run was started
        return Outcome(reports=_reports(hooks), failure=_failure(error))
    return Outcome(handed, checked_of(catalog), _reports(hooks))


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """What Ctrl-C does in the run's own process, cancelling does here: it interrupts the node.

    A node that has a way of its own to stop in order, as a phase that trains has, is asked to take it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    rays_own = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        nodes_own = signal.getsignal(signal.SIGTERM)
        if nodes_own is rays_own or not callable(nodes_own):
            raise KeyboardInterrupt
        nodes_own(signal.SIGTERM, frame)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def checked_of(catalog: DataCatalog) -> frozenset[str]:
    """Datasets whose guards have passed what was saved, so that loading it need not ask again."""
    # Kedro 1.7 keeps this to itself and drops it when a catalog is pickled.
    return frozenset(catalog._save_validated)


def _mark_checked(catalog: DataCatalog, checked: frozenset[str]) -> None:
    catalog._save_validated |= checked


def _settle(luggage: Luggage) -> None:
    """Make this process like the one that the run was started in."""
    from kedro.framework.project import LOGGING, configure_project

    from d2vlm_pipeline.orchestration.startup import prepare
    from d2vlm_pipeline.tracking import use_run, use_store

    if luggage.threads is None:
        os.environ.pop(_THREADS, None)
    else:
        os.environ[_THREADS] = luggage.threads
    os.chdir(luggage.folder)
    sys.path.extend(place for place in luggage.path if place not in sys.path)
    prepare()
    use_run(luggage.run)
    if luggage.store is not None:
        use_store(luggage.store)
    if luggage.package is not None:
        configure_project(luggage.package)
    LOGGING.configure(luggage.logging)


def _manager(hooks: Sequence[Any], plugins: Sequence[str]) -> PluginManager:
    from importlib.metadata import entry_points

    from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks

    manager = _create_hook_manager()
    _register_hooks(manager, hooks)
    for entry in entry_points(group="kedro.hooks"):
        if entry.dist is not None and entry.dist.name in plugins:
            manager.register(entry.load())
    return manager


def _reports(hooks: Sequence[Any]) -> dict[int, Any]:
    return {place: hook.report() for place, hook in enumerate(hooks) if isinstance(hook, ReportsBack)}


def _packed(node: Node, name: str, value: Any) -> bytes:
    """A value on its way to the nodes that take it.

    Raises:
        UserError: it cannot leave this process.
    """
    from ray import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:  # pickling raises what the value's own methods raise
        raise UserError(
            f"{node.name}: output '{name}' ({type(value).__name__}) cannot be handed to a node in another "
            f"Ray worker ({_first_line(error)}); give it an entry in the catalog"
        ) from error


def _failure(error: Exception) -> Failure:
    mendable = user_error_in(error)
    text = "".join(traceback.format_exception(error))
    summary = f"{type(error).__name__}: {_first_line(error)}"
    return Failure(str(mendable) if mendable else None, _travelling(error), summary, text)


def _travelling(error: Exception) -> bytes | None:
    """The error, pickled, if it can be had back from that."""
    from ray import cloudpickle

    try:
        pickled = bytes(cloudpickle.dumps(error))
        cloudpickle.loads(pickled)
    except Exception:  # an error's own constructor may ask for more than its message
        return None
    return pickled


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def luggage_of(hooks: Sequence[Any], plugins: Sequence[str], catalog: DataCatalog) -> Luggage:
    """What every worker of this run gets.

    Raises:
        UserError: a hook cannot travel.
    """
    from kedro.framework.project import LOGGING, PACKAGE_NAME
    from ray import cloudpickle

    from d2vlm_pipeline.tracking import find_run, find_store

    for hook in hooks:
        try:
            cloudpickle.dumps(hook)
        except Exception as error:  # pickling raises what the hook's own parts raise
            raise UserError(
                f"hooks {type(hook).__name__} cannot travel to Ray workers ({_first_line(error)}); "
                "leave out what cannot in __getstate__"
            ) from error
    return Luggage(
        package=str(PACKAGE_NAME) if PACKAGE_NAME else None,
        logging=dict(LOGGING.data),
        folder=str(Path.cwd()),
        path=tuple(sys.path),
        threads=os.environ.get(_THREADS),
        run=find_run(),
        store=find_store(),
        kept=bytes(cloudpickle.dumps((catalog, list(hooks)))),
        plugins=tuple(plugins),
    )
