"""Aliases as the audit log says: a view of it, which can be made again at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from d2vlm_pipeline.registry.audit import AuditEntry
from d2vlm_pipeline.registry.versions import version_at
from d2vlm_pipeline.tracking import TrackingConfig

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHALLENGER = "challenger"


@dataclass(frozen=True)
class Aliases:
    """Versions by what they are; None where there is none.

    Attributes:
        champion: who answers.
        previous: who did before.
        challenger: the newest candidate that did not become champion.
    """

    champion: str | None = None
    previous: str | None = None
    challenger: str | None = None


def previous_name(alias: str) -> str:
    """The alias of the former holder of an alias."""
    return f"previous_{alias}"


def aliases_after(entries: Sequence[AuditEntry], alias: str) -> Aliases:
    """Who holds an alias, and the two that go with it, after all that the log says of it."""
    found = Aliases()
    for entry in entries:
        if entry.alias == alias:
            found = _after(found, entry)
    return found


def withdrawn(entries: Sequence[AuditEntry], alias: str, digest: str) -> AuditEntry | None:
    """The rollback that took an alias from this content, where nothing gave it back since."""
    digests: dict[str, str] = {}
    taken: dict[str, AuditEntry] = {}
    for entry in entries:
        digests[entry.version] = entry.digest
        if entry.alias == alias and entry.moves:
            if entry.action == "rollback" and entry.previous_version in digests:
                taken[digests[entry.previous_version]] = entry
            taken.pop(entry.digest, None)
    return taken.get(digest)


def follow(client: MlflowClient, tracking: TrackingConfig, alias: str, wanted: Aliases) -> None:
    """Set all three; the way back first, so that who is killed in between leaves a champion."""
    set_previous(client, tracking, alias, wanted)
    set_challenger(client, tracking, wanted)
    set_champion(client, tracking, alias, wanted)


def set_previous(client: MlflowClient, tracking: TrackingConfig, alias: str, wanted: Aliases) -> None:
    """The former champion's alias; what was set by hand before there was a log stays."""
    if wanted.previous is not None:
        _set(client, tracking, previous_name(alias), wanted.previous)


def set_challenger(client: MlflowClient, tracking: TrackingConfig, wanted: Aliases) -> None:
    """The challenger's alias, taken away where there is none."""
    _set(client, tracking, CHALLENGER, wanted.challenger)


def set_champion(client: MlflowClient, tracking: TrackingConfig, alias: str, wanted: Aliases) -> None:
    """The alias itself, which is never taken away."""
    if wanted.champion is not None:
        _set(client, tracking, alias, wanted.champion)


def _after(before: Aliases, entry: AuditEntry) -> Aliases:
    if not entry.moves:
        is_champion = entry.version == before.champion
        return before if is_champion else replace(before, challenger=entry.version)
    previous = before.previous if entry.previous_version in (None, entry.version) else entry.previous_version
    challenger = None if before.challenger == entry.version else before.challenger
    return Aliases(champion=entry.version, previous=previous, challenger=challenger)


def _set(client: MlflowClient, tracking: TrackingConfig, alias: str, version: str | None) -> None:
    held = version_at(client, tracking, alias)
    if version is None:
        if held is not None:
            client.delete_registered_model_alias(tracking.model_name, alias)
    elif held is None or str(held.version) != version:
        client.set_registered_model_alias(tracking.model_name, alias, version)
