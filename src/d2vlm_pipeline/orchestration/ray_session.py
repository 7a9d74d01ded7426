"""Ray, started or joined for as long as something needs it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.ray_settings import RaySettings


@contextmanager
def ray_session(settings: RaySettings) -> Iterator[None]:
    """Ray inside the block; one that already runs in this process is used, and left running.

    Raises:
        UserError: there is no cluster at the address.
    """
    # Nothing about a run leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(**_arguments(settings))
    except ConnectionError as error:
        raise UserError(
            f"ray.address {settings.address}: no cluster answers ({_first_line(error)}); start one with "
            "`ray start --head`, or set ray.address to null"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


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
    for kind, count in {"CPU": cpus, "GPU": gpus}.items():
        if settings.address is None and count > there.get(kind, 0):
            raise UserError(
                f"{pool} asks for {count:g} {kind}s, and Ray has {there.get(kind, 0):g} here; lower {lower}, "
                "or name a cluster in ray.address"
            )


def _arguments(settings: RaySettings) -> dict[str, Any]:
    """For `ray.init`; workers' output stays in Ray's log files, what they raise comes here anyway."""
    given: dict[str, Any] = {
        "address": settings.address,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.WARNING,
    }
    if settings.address is None and settings.object_store_mb is not None:
        given["object_store_memory"] = settings.object_store_mb << 20
    return given


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
