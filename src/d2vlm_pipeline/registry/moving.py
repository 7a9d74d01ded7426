"""What promotion and rollback share: lock, log, and aliases that follow the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.audit import (
    AuditEntry,
    AuditLog,
    append_entry,
    close_entries,
    next_place,
    read_log,
    shortened,
    stamp,
)
from d2vlm_pipeline.registry.following import (
    Aliases,
    aliases_after,
    follow,
    set_challenger,
    set_champion,
    set_previous,
)
from d2vlm_pipeline.registry.keys import Keyring, signing_key, trusted_keys
from d2vlm_pipeline.registry.ledger import find_ledger, open_ledger
from d2vlm_pipeline.registry.lock import promotion_lock
from d2vlm_pipeline.registry.steps import Step
from d2vlm_pipeline.registry.versions import version_at
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


@dataclass
class Move:
    """One move of an alias, while it is under way.

    Attributes:
        keyring: where keys are.
        stack: what is given back at the end, the lock first of all.
        log: as it was read, and with what was appended.
        champion: who had the alias when the log was read.
        finished: entries of killed processes whose aliases were set by this one.
        entry: what was appended.
    """

    tracking: TrackingConfig
    alias: str
    keyring: Keyring
    stack: ExitStack
    client: MlflowClient = field(init=False)
    log: AuditLog = field(default_factory=AuditLog)
    champion: ModelVersion | None = None
    finished: tuple[AuditEntry, ...] = ()
    entry: AuditEntry | None = None

    def work(self) -> Mapping[Step, Callable[[], object]]:
        """What to do at the steps that every move has; `FINISH` and `APPEND` are the move's own."""
        return {
            Step.LOCK: lambda: self.stack.enter_context(promotion_lock(self.tracking)),
            Step.READ_LOG: self.read,
            Step.PREVIOUS: self.set_previous,
            Step.CHALLENGER: self.set_challenger,
            Step.CHAMPION: self.set_champion,
            Step.CLOSE: self.close,
        }

    @property
    def trusted(self) -> frozenset[str]:
        """Public keys whose signatures count."""
        return trusted_keys(self.keyring)

    @property
    def wanted(self) -> Aliases:
        """Aliases as the log says."""
        return aliases_after(self.log.entries, self.alias)

    def read(self) -> None:
        """Read the log, and who has the alias."""
        self.client = tracking_client(self.tracking)
        self._read_log()
        self.champion = version_at(self.client, self.tracking, self.alias)

    def finish(self, may_differ: bool = False) -> None:
        """Set the aliases of entries whose writer was killed; otherwise they are as the log says, or refuse.

        Args:
            may_differ: the move puts on record where the alias is, wherever that is.

        Raises:
            UserError: somebody changed the alias past the log.
        """
        if self.log.unfinished:
            self.finished = tuple(self.log.entries[number - 1] for number in self.log.unfinished)
            for alias in dict.fromkeys(entry.alias for entry in self.finished):
                wanted = aliases_after(self.log.entries, alias)
                follow(self.client, self.tracking, alias, wanted)
            self.close()
            self.champion = version_at(self.client, self.tracking, self.alias)
        held = None if self.champion is None else str(self.champion.version)
        if may_differ or self.wanted.champion in (None, held):
            return
        head = self.log.head
        self.read()
        if self.log.head == head:
            raise UserError(_past_the_log(self.alias, held, self.wanted.champion or ""))
        self.finish()  # another machine moved it since the log was read

    def append(self, action: str, version: ModelVersion, **facts: str) -> None:
        """Append the entry that decides the matter.

        Args:
            action: of the entry.
            version: that it is about.
            facts: `digest`, `system`, `run_id`, `evidence` and `reason` of the entry.

        Raises:
            UserError: somebody else has appended since the log was read.
        """
        number, previous = next_place(self.log)
        held = None if self.champion is None else str(self.champion.version)
        entry = AuditEntry.model_validate(
            {
                **stamp(),
                **facts,
                "number": number,
                "previous": previous,
                "action": action,
                "model": self.tracking.model_name,
                "alias": self.alias,
                "version": str(version.version),
                "previous_version": held,
                "reason": shortened(facts["reason"]),
            }
        )
        ledger = open_ledger(self.client, self.tracking)
        log = append_entry(ledger, self.log, entry, signing_key(self.keyring))
        if log is None:
            self._read_log()
            raise UserError(_lost(self.log.entries[number - 1 :]))
        self.log, self.entry = log, entry

    def set_previous(self) -> None:
        """The former champion keeps an alias, so that there is a way back before there is a move."""
        set_previous(self.client, self.tracking, self.alias, self.wanted)

    def set_challenger(self) -> None:
        """The newest candidate that did not become champion has an alias, too."""
        set_challenger(self.client, self.tracking, self.wanted)

    def set_champion(self) -> None:
        """The move itself."""
        set_champion(self.client, self.tracking, self.alias, self.wanted)

    def close(self) -> None:
        """Note that the aliases are set, as the log says by now.

        Another machine may have appended, and set them, before we did: then ours were the older ones.
        """
        ledger = open_ledger(self.client, self.tracking)
        while (found := read_log(ledger, self.trusted)).head != self.log.head:
            self.log = found
            follow(self.client, self.tracking, self.alias, self.wanted)
        self.log = close_entries(ledger, self.log)

    def _read_log(self) -> None:
        ledger = find_ledger(self.client, self.tracking)
        self.log = AuditLog() if ledger is None else read_log(ledger, self.trusted)


def _past_the_log(alias: str, held: str | None, wanted: str) -> str:
    where = "at no version" if held is None else f"at version {held}"
    keep = "" if held is None else f"; `d2vlm models rollback {held}` puts that on record"
    return (
        f"alias {alias} is {where}, and by the audit log at version {wanted}: it was changed past the log; "
        f"`d2vlm models rollback {wanted}` undoes that{keep}"
    )


def _lost(since: Sequence[AuditEntry]) -> str:
    """Who won the place in the log; nobody yet where two machines have just begun it."""
    if not since:
        return "another machine has just begun the audit log; start again to be held against what it does"
    winner = since[0]
    what = {
        "promote": f"promoted version {winner.version}",
        "keep": f"decided on version {winner.version}",
        "rollback": f"rolled back to version {winner.version}",
    }[winner.action]
    return (
        f"another was faster: {winner.who} {what} at {winner.at} (entry {winner.number} of the audit log); "
        "start again to be held against that"
    )
