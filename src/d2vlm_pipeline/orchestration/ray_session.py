"""Ray, started or joined for as long as something needs it: the one place that does so."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.ray_settings import TEST_CLUSTER, RaySettings

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

logger = logging.getLogger(__name__)

_TEST_CPUS = 2
_TEST_STORE_MB = 100


@contextmanager
def ray_session(settings: RaySettings, shows_output: bool = False) -> Iterator[None]:
    """Ray inside the block, as `ray.address` says.

    One that already runs in this process, or that this process is a worker of, is used and left running.

    Args:
        settings: where Ray runs.
        shows_output: whether what workers print and log appears here, too; else it stays in Ray's logs.

    Raises:
        UserError: there is no cluster at the address.
    """
    # Nothing about a run leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Lines that two workers print alike are two lines.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # In workers, which import torch anew: every phase would begin with a warning of DDP's own flag.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import ray

    if ray.is_initialized():
        yield
    elif settings.address is None:
        with _folder_of_its_own(), _connected(settings, shows_output, address="local"):
            yield
    elif settings.address == TEST_CLUSTER:
        store_mb = settings.object_store_mb or _TEST_STORE_MB
        with test_cluster(store_mb) as cluster, _connected(settings, shows_output, address=cluster.address):
            yield
    else:
        with _connected(settings, shows_output, address=settings.address):
            yield


@contextmanager
def test_cluster(store_mb: int = _TEST_STORE_MB) -> Iterator[Cluster]:
    """Two machines of a cluster in one: each with two cores, as Ray counts them, and workers of its own."""
    from ray.cluster_utils import Cluster

    machine: dict[str, Any] = {"num_cpus": _TEST_CPUS, "object_store_memory": store_mb << 20}
    with _folder_of_its_own():
        cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
        try:
            cluster.add_node(**machine)
            yield cluster
        finally:
            cluster.shutdown()


def check_room(settings: RaySettings, pool: str, lower: str, cpus: float, gpus: float) -> None:
    """Refuse a pool that does not fit on this machine: Ray would wait for room; a cluster may grow.

    Args:
        settings: where Ray runs.
        pool: key of the pool's settings.
        lower: the keys to lower where there is no room.
        cpus, gpus: what the pool takes.

    Raises:
        UserError: it asks for more than Ray has here.
    """
    import ray

    there = ray.cluster_resources()
    context = ray.get_runtime_context()
    # A node that runs in a worker holds some of it until the pool is done.
    held = context.get_assigned_resources() if context.worker.mode == ray.WORKER_MODE else {}
    for kind, count in {"CPU": cpus, "GPU": gpus}.items():
        free = there.get(kind, 0) - held.get(kind, 0)
        if settings.address in (None, TEST_CLUSTER) and count > free:
            raise UserError(
                f"{pool} asks for {count:g} {kind}s, and Ray has {free:g} here; lower {lower}, "
                "or name a cluster in ray.address"
            )


def _quiet_ray_train() -> None:
    """In every process that Ray starts: no line a second that the dashboard, being off, does not answer."""
    cleaner = "ray.train.v2._internal.execution.controller.placement_group_cleaner"
    logging.getLogger(cleaner).setLevel(logging.ERROR)


@contextmanager
def _connected(settings: RaySettings, shows_output: bool, address: str) -> Iterator[None]:
    import ray

    given: dict[str, Any] = {
        "address": address,
        "include_dashboard": False,
        "log_to_driver": shows_output,
        "logging_level": logging.WARNING,
    }
    if shows_output:
        given["runtime_env"] = {"worker_process_setup_hook": _quiet_ray_train}
    if address == "local" and settings.object_store_mb is not None:
        given["object_store_memory"] = settings.object_store_mb << 20
    with _own_sigterm_handler():
        try:
            ray.init(**given)
        except ConnectionError as error:
            raise UserError(
                f"ray.address {settings.address}: no cluster answers ({_first_line(error)}); start one with "
                "`ray start --head`, or set ray.address to null"
            ) from error
        try:
            yield
        finally:
            ray.shutdown(wait_for_processes=True)


@contextmanager
def _own_sigterm_handler() -> Iterator[None]:
    """Ray makes SIGTERM end the process in order, as long as it is connected; afterwards all is as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _folder_of_its_own() -> Iterator[None]:
    """A temporary folder for logs and sockets of a Ray started here, removed unless something went wrong.

    In the folder that all share, a cluster started here would be found by whoever says `auto` next.
    """
    _ask_for_a_token()
    shared = os.environ.get("RAY_TMPDIR")
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=shared))
    os.environ["RAY_TMPDIR"] = str(folder)
    try:
        yield
    except Exception:
        logger.info("Ray's own logs of this run stay in %s", folder)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if shared is None:
            del os.environ["RAY_TMPDIR"]
        else:
            os.environ["RAY_TMPDIR"] = shared


def _ask_for_a_token() -> None:
    """Only who knows a token may use a Ray started here, unless `RAY_AUTH_MODE` says otherwise.

    Workers get it by the environment: left alone, Ray writes it into the home folder, and says so at length.
    """
    from ray._raylet import Config  # type: ignore[attr-defined]  # compiled

    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        Config.initialize("")  # Ray has read the mode when it was imported


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
