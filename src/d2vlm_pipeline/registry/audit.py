"""One promotion at a time, and a record of each that nothing overwrites."""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json
from d2vlm_pipeline.registry.decide import Decision
from d2vlm_pipeline.timeline import read_jsonl
from d2vlm_pipeline.tracking import TrackingConfig

_LOCK_NAME = "promotion.lock"
_LOG_NAME = "promotions.jsonl"
_WAIT_S = 60.0
_POLL_S = 0.1


class AuditEntry(StrictModel):
    """One line of the audit log: who did what to which alias, when and why.

    Attributes:
        at: UTC time, ISO 8601.
        who: user and machine.
        action: `moved` or `kept`.
        version: the candidate's version.
        previous_version: the version that had the alias before, if one did.
        digest: digest of the candidate's model directory.
        run_id: the MLflow run that holds the model and its evidence.
    """

    at: str
    who: str
    action: Literal["moved", "kept"]
    model: str
    alias: str
    version: str
    previous_version: str | None
    digest: str
    system: str
    run_id: str
    reason: str
    decision: Decision


def stamp() -> dict[str, str]:
    """The `at` and `who` of an entry written now by this process."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": f"{_user()}@{socket.gethostname()}",
    }


def audit_path(tracking: TrackingConfig) -> Path:
    """Where the audit log lies."""
    return tracking.state_directory / _LOG_NAME


def append_entry(tracking: TrackingConfig, entry: AuditEntry) -> None:
    """Add a line to the audit log and force it to the disk; a torn last line is closed off first."""
    path = audit_path(tracking)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as log:
        if log.tell() > 0:
            log.seek(-1, os.SEEK_END)
            if log.read(1) != b"\n":
                log.write(b"\n")
        log.write(f"{canonical_json(entry)}\n".encode())
        log.flush()
        os.fsync(log.fileno())


def read_audit(tracking: TrackingConfig) -> list[AuditEntry]:
    """All entries, oldest first; empty where nothing was promoted yet.

    Raises:
        UserError: a line is malformed.
    """
    path = audit_path(tracking)
    return [entry for _, entry in read_jsonl(path, AuditEntry)] if path.exists() else []


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


def _user() -> str:
    try:
        return getpass.getuser()
    except KeyError:
        # A container may run under a number that no user has.
        return f"uid-{os.getuid()}"


def _acquired(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
