"""The audit log: who, when, what and why; each entry is signed, and chained to the one before."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json, digest_json, validation_reason
from d2vlm_pipeline.registry.evidence import Signature, check, sign
from d2vlm_pipeline.registry.keys import Keyring, SigningKey, trusted_keys
from d2vlm_pipeline.registry.ledger import Ledger, find_ledger
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client

_ENTRY = re.compile(r"entry-(\d{6})")
_FIRST = "0" * 64
_MOST_CHARACTERS = 6000
_RESTORE = "bring the tracking store back from a backup"
LONGEST_REASON = 2000


class AuditEntry(StrictModel):
    """One entry of the audit log.

    Attributes:
        number: from 1.
        at: UTC time, ISO 8601.
        who: user and machine.
        action: `promote` and `rollback` move the alias to `version`; `keep` leaves it where it was.
        version: the version that the entry is about.
        previous_version: the version that had the alias before, if one did.
        digest: digest of the version's model directory.
        system: whose scores were decided on.
        run_id: the MLflow run that holds the evidence.
        evidence: SHA-256 of the evidence bundle.
        reason: why, one sentence.
        previous: digest of the entry before, with its signature.
    """

    number: int = Field(ge=1)
    at: str
    who: str
    action: Literal["promote", "keep", "rollback"]
    model: str
    alias: str
    version: str
    previous_version: str | None
    digest: str
    system: str
    run_id: str
    evidence: str
    reason: str = Field(max_length=LONGEST_REASON)
    previous: str

    @property
    def moves(self) -> bool:
        """Whether it gives the alias to its version."""
        return self.action != "keep"


class SignedEntry(StrictModel):
    """An entry as it stands in the log."""

    entry: AuditEntry
    signature: Signature


@dataclass(frozen=True)
class AuditLog:
    """The log as it was read, every entry checked.

    Attributes:
        entries: oldest first.
        head: digest of the last one; zeros where there is none.
        unfinished: numbers of entries whose aliases may not have been set.
    """

    entries: tuple[AuditEntry, ...] = ()
    head: str = _FIRST
    unfinished: tuple[int, ...] = ()


def stamp() -> dict[str, str]:
    """The `at` and `who` of an entry written now by this process."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": f"{_user()}@{socket.gethostname()}",
    }


def shortened(reason: str) -> str:
    """A reason on one line, no longer than an entry may have it."""
    line = " ".join(reason.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"


def read_audit(tracking: TrackingConfig, keyring: Keyring | None = None) -> list[AuditEntry]:
    """All entries, oldest first; empty where nothing was promoted yet. Makes no store.

    Args:
        tracking: the store.
        keyring: where trusted keys are; those of the environment variables where not given.

    Raises:
        UserError: the chain is broken; the message names the entry.
    """
    if tracking.database is not None and not tracking.database.is_file():
        return []
    ledger = find_ledger(tracking_client(tracking), tracking)
    return [] if ledger is None else list(read_log(ledger, trusted_keys(keyring or Keyring())).entries)


def read_log(ledger: Ledger, trusted: Collection[str]) -> AuditLog:
    """The log of a ledger; errors of `read_audit`."""
    return chained(ledger.cells(), trusted)


def chained(cells: Mapping[str, str], trusted: Collection[str]) -> AuditLog:
    """Entries out of a ledger's cells, chain and signatures checked.

    Raises:
        UserError: an entry is missing, malformed, changed, out of its place, or signed by a foreign key.
    """
    numbers = sorted(int(match[1]) for name in cells if (match := _ENTRY.fullmatch(name)))
    entries: list[AuditEntry] = []
    head = _FIRST
    for number in range(1, max(numbers, default=0) + 1):
        signed = _entry(cells, number, head, trusted)
        entries.append(signed.entry)
        head = digest_json(signed)
    unfinished = tuple(entry.number for entry in entries if _closing(entry.number) not in cells)
    return AuditLog(tuple(entries), head, unfinished)


def append_entry(ledger: Ledger, log: AuditLog, entry: AuditEntry, key: SigningKey) -> AuditLog | None:
    """Append to a log that nobody has appended to since it was read; None where somebody has.

    Args:
        ledger: where the log stands.
        log: as it was read.
        entry: the next one, as `next_place` of the log numbers and chains it.
        key: who signs.
    """
    signed = SignedEntry(entry=entry, signature=sign(entry, key))
    text = canonical_json(signed)
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"an entry of {len(text)} characters; MLflow takes {_MOST_CHARACTERS}")
    if not ledger.write(_cell(entry.number), text):
        return None
    return AuditLog((*log.entries, entry), digest_json(signed), (*log.unfinished, entry.number))


def next_place(log: AuditLog) -> tuple[int, str]:
    """`number` and `previous` of the entry that comes next."""
    return len(log.entries) + 1, log.head


def close_entries(ledger: Ledger, log: AuditLog) -> AuditLog:
    """Note that the aliases are as the log says."""
    for number in log.unfinished:
        ledger.write(_closing(number), "done")
    return AuditLog(log.entries, log.head)


def _entry(cells: Mapping[str, str], number: int, head: str, trusted: Collection[str]) -> SignedEntry:
    where = f"audit log, entry {number}"
    text = cells.get(_cell(number))
    if text is None:
        raise UserError(f"{where}: missing; {_RESTORE}")
    try:
        signed = SignedEntry.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{where}: {validation_reason(error)}; {_RESTORE}") from None
    check(signed.entry, signed.signature, trusted, where)
    if signed.entry.number != number or signed.entry.previous != head or text != canonical_json(signed):
        raise UserError(f"{where}: does not follow the one before it; {_RESTORE}")
    return signed


def _cell(number: int) -> str:
    return f"entry-{number:06}"


def _closing(number: int) -> str:
    return f"done-{number:06}"


def _user() -> str:
    try:
        return getpass.getuser()
    except KeyError:
        # A container may run under a number that no user has.
        return f"uid-{os.getuid()}"
