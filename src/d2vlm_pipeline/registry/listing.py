"""What the registry holds, version by version."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.registry.audit import AuditLog, read_log
from d2vlm_pipeline.registry.bundle import EvidenceBundle, read_bundle
from d2vlm_pipeline.registry.evidence import ForeignKeyError
from d2vlm_pipeline.registry.following import aliases_after, previous_name
from d2vlm_pipeline.registry.keys import Keyring, trusted_keys
from d2vlm_pipeline.registry.ledger import find_ledger
from d2vlm_pipeline.registry.reach import existing_store, no_champion
from d2vlm_pipeline.registry.versions import (
    DIGEST_TAG,
    all_versions,
    signed_files,
    verified_path,
    version_at,
    version_numbered,
)
from d2vlm_pipeline.tracking import TrackingConfig

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


class ListedVersion(StrictModel):
    """One version.

    Attributes:
        aliases: that point at it.
        digest: of its model directory.
        system: whose scores it was decided on.
        headline: name of the score on which it met the champion.
        value: that score, percent.
        promoted: whether the policy let it pass.
        signed: `yes` by a trusted key, over files and evidence; `foreign` or `no` otherwise.
        trouble: what is wrong with its signature.
        created_ms: when it was registered, milliseconds since 1970.
    """

    version: str
    aliases: tuple[str, ...]
    digest: str | None
    system: str | None
    headline: str | None
    value: float | None
    promoted: bool | None
    signed: Literal["yes", "foreign", "no"]
    trouble: str | None
    created_ms: int


class VerifiedVersion(StrictModel):
    """A version whose signatures and files were checked, and are as they were.

    Attributes:
        files: how many there are.
        key: who signed the evidence.
        aliases: that point at it.
    """

    version: str
    aliases: tuple[str, ...]
    digest: str
    files: int
    key: str


def list_versions(tracking: TrackingConfig, keyring: Keyring) -> list[ListedVersion]:
    """Every version, newest first; signatures are checked, files are not read. Makes no store."""
    client = existing_store(tracking)
    if client is None:
        return []
    trusted, aliases = trusted_keys(keyring), _aliases(client, tracking)
    return [
        _listed(client, tracking, version, aliases.get(str(version.version), ()), trusted)
        for version in reversed(all_versions(client, tracking))
    ]


def verify_versions(
    tracking: TrackingConfig, alias: str, version: str | None, keyring: Keyring
) -> list[VerifiedVersion]:
    """Check signatures, every file and the audit log: of one version, or of the champion and the way back.

    Raises:
        UserError: there is no such version, or something is not as it was signed; the first that is found.
    """
    client, trusted = existing_store(tracking), trusted_keys(keyring)
    if client is None:
        raise no_champion(tracking, alias)
    log = _log(client, tracking, trusted)
    if version is not None:
        found = [version_numbered(client, tracking, version)]
    else:
        champion = version_at(client, tracking, alias)
        if champion is None:
            raise no_champion(tracking, alias)
        _agree(champion, log, alias)
        previous = version_at(client, tracking, previous_name(alias))
        found = [champion, *([] if previous is None else [previous])]
    aliases = _aliases(client, tracking)
    return [_verified(client, tracking, one, aliases.get(str(one.version), ()), trusted) for one in found]


def _verified(
    client: MlflowClient,
    tracking: TrackingConfig,
    version: ModelVersion,
    aliases: Iterable[str],
    trusted: Collection[str],
) -> VerifiedVersion:
    verified_path(client, tracking, version, trusted)
    bundle = read_bundle(client, tracking, version, trusted)
    _same_files(client, tracking, version, bundle, trusted)
    return VerifiedVersion(
        version=str(version.version),
        aliases=tuple(aliases),
        digest=bundle.model.digest,
        files=len(bundle.model.files),
        key=bundle.signer,
    )


def _same_files(
    client: MlflowClient,
    tracking: TrackingConfig,
    version: ModelVersion,
    bundle: EvidenceBundle,
    trusted: Collection[str],
) -> None:
    if signed_files(client, tracking, version, trusted) != bundle.model.files:
        raise UserError(
            f"{version.name} version {version.version}: its evidence is about other files; promote the model "
            "again, or another version"
        )


def _agree(champion: ModelVersion, log: AuditLog, alias: str) -> None:
    wanted = aliases_after(log.entries, alias).champion
    if wanted != str(champion.version) and not log.unfinished:
        raise UserError(
            f"alias {alias} is at version {champion.version}, and by the audit log at version "
            f"{wanted or 'none'}; `d2vlm models rollback {wanted or champion.version}` mends that"
        )


def _log(client: MlflowClient, tracking: TrackingConfig, trusted: Collection[str]) -> AuditLog:
    ledger = find_ledger(client, tracking)
    return AuditLog() if ledger is None else read_log(ledger, trusted)


def _aliases(client: MlflowClient, tracking: TrackingConfig) -> dict[str, tuple[str, ...]]:
    """Aliases by the version that they point at."""
    from mlflow.exceptions import MlflowException

    try:
        held = client.get_registered_model(tracking.model_name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for alias, version in sorted(held.items()):
        found[str(version)] = (*found.get(str(version), ()), alias)
    return found


def _listed(
    client: MlflowClient,
    tracking: TrackingConfig,
    version: ModelVersion,
    aliases: tuple[str, ...],
    trusted: Collection[str],
) -> ListedVersion:
    bundle, trouble = None, None
    try:
        bundle = read_bundle(client, tracking, version, trusted)
        _same_files(client, tracking, version, bundle, trusted)
    except UserError as error:
        trouble = error
    decision = None if bundle is None else bundle.decision
    return ListedVersion(
        version=str(version.version),
        aliases=aliases,
        digest=version.tags.get(DIGEST_TAG),
        system=None if bundle is None else bundle.dossier.system,
        headline=None if decision is None else decision.headline,
        value=None if decision is None else decision.candidate_headline,
        promoted=None if decision is None else decision.promote,
        signed="yes" if trouble is None else "foreign" if isinstance(trouble, ForeignKeyError) else "no",
        trouble=None if trouble is None else str(trouble),
        created_ms=int(version.creation_timestamp),
    )
