"""One process of this machine at a time moves aliases; between machines the audit log decides."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import TrackingConfig

_LOCK_NAME = "promotion.lock"
_WAIT_S = 60.0
_POLL_S = 0.1


@contextmanager
def promotion_lock(tracking: TrackingConfig, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold the promotion lock; MLflow's aliases have no compare-and-set of their own.

    The kernel drops the lock with the process, so a killed promotion leaves nothing to clean up.

    Raises:
        UserError: another process held it for `wait_s` seconds.
    """
    path = tracking.state_directory / _LOCK_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + wait_s
    with path.open("a+", encoding="utf-8") as lock:
        while not _acquired(lock.fileno()):
            if time.monotonic() >= deadline_s:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise UserError(f"{path}: held by process {holder} for {wait_s:g} s; wait for it or stop it")
            time.sleep(_POLL_S)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _acquired(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
