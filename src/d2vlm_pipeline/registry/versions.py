"""Versions of the registered model: put one in, find one again, see which one is the champion."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from d2vlm_pipeline.artifacts import StrictModel, UserError, digest_json, read_manifest, verify
from d2vlm_pipeline.registry.evidence import model_in, sign_folder, signed_content, verify_folder
from d2vlm_pipeline.registry.keys import Keyring, SigningKey, trusted_keys
from d2vlm_pipeline.registry.packing import pack_model
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

DIGEST_TAG = "digest"
_PATH_TAG = "model_path"
_SCRATCH = ".register-"
# As many as MLflow gives at once.
_MOST_VERSIONS = 10_000


class ChampionRef(StrictModel):
    """A registered model on this machine, its files verified.

    Attributes:
        path: its model directory.
        digest: SHA-256 of the directory's manifest, which lists the SHA-256 of every file.
    """

    name: str
    version: str
    alias: str
    digest: str
    path: Path


def model_digest(directory: Path) -> str:
    """Digest of a model directory's manifest, after checking every file against it.

    Raises:
        UserError: a file is missing, changed or not listed.
    """
    verify(directory)
    return digest_json(read_manifest(directory))


def register_model(
    client: MlflowClient,
    tracking: TrackingConfig,
    run_id: str,
    directory: Path,
    digest: str,
    key: SigningKey,
) -> ModelVersion:
    """Put a model directory into the registry as a new, signed version, its files as artifacts of the run.

    The version is created last: a process killed before leaves files that nothing refers to. Call it with the
    promotion lock held: what such a process was packing is removed.

    Args:
        client: client of the store.
        tracking: names and places.
        run_id: the run that takes the files.
        directory: a sealed model directory.
        digest: its digest, as `model_digest` gives it.
        key: what the files are signed with.
    """
    from mlflow.exceptions import MlflowException

    # One run may register several models, so the folder is named after the content.
    folder = f"{tracking.model_name}-{digest[:12]}"
    tracking.state_directory.mkdir(parents=True, exist_ok=True)
    for left in sorted(tracking.state_directory.glob(f"{_SCRATCH}*")):
        shutil.rmtree(left)
    with TemporaryDirectory(dir=tracking.state_directory, prefix=_SCRATCH) as scratch:
        packed = Path(scratch) / folder
        pack_model(directory, packed)
        sign_folder(packed, key)
        client.log_artifacts(run_id, str(packed), folder)
    try:
        client.create_registered_model(tracking.model_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {DIGEST_TAG: digest, _PATH_TAG: f"{folder}/artifacts/{directory.name}"}
    return client.create_model_version(
        tracking.model_name, f"runs:/{run_id}/{folder}", run_id=run_id, tags=tags
    )


def find_version(
    client: MlflowClient, tracking: TrackingConfig, digest: str, trusted: Collection[str]
) -> ModelVersion | None:
    """The newest intact version with this content, signed by a trusted key; None where there is none."""
    found = client.search_model_versions(f"name = '{tracking.model_name}' and tags.{DIGEST_TAG} = '{digest}'")
    for version in sorted(found, key=lambda version: int(version.version), reverse=True):
        try:
            verified_path(client, tracking, version, trusted)
        except UserError:
            # Its files were lost or changed, or nobody we trust has signed them: registering is the mend.
            continue
        return version
    return None


def version_at(client: MlflowClient, tracking: TrackingConfig, alias: str) -> ModelVersion | None:
    """The version that carries an alias; None where none does."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(tracking.model_name, alias)
    except MlflowException as error:
        # Depending on whether the model, or only its alias, is missing.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def version_numbered(client: MlflowClient, tracking: TrackingConfig, number: str) -> ModelVersion:
    """The version of that number.

    Raises:
        UserError: there is none; the message says which there are.
    """
    found = {str(version.version): version for version in all_versions(client, tracking)}
    if number not in found:
        known = ", ".join(found) or "none"
        raise UserError(f"{tracking.model_name}: no version {number} in the registry; it has {known}")
    return found[number]


def all_versions(client: MlflowClient, tracking: TrackingConfig) -> list[ModelVersion]:
    """Every version, oldest first."""
    found = client.search_model_versions(f"name = '{tracking.model_name}'", max_results=_MOST_VERSIONS)
    return sorted(found, key=lambda version: int(version.version))


def resolve_champion(
    tracking: TrackingConfig, alias: str = "champion", keyring: Keyring | None = None
) -> ChampionRef:
    """The champion's model directory, its signature checked, and every file against it.

    Args:
        tracking: the store.
        alias: who is meant.
        keyring: where trusted keys are; those of the environment variables where not given.

    Raises:
        UserError: there is no champion yet, its files are missing or changed, or nobody trusted signed them.
    """
    missing = UserError(f"no {alias} in {tracking.tracking_uri}: run `kedro run` first")
    # Asking must not create an empty store.
    if tracking.database is not None and not tracking.database.is_file():
        raise missing
    client = tracking_client(tracking)
    version = version_at(client, tracking, alias)
    if version is None:
        raise missing
    return ChampionRef(
        name=version.name,
        version=str(version.version),
        alias=alias,
        digest=version.tags.get(DIGEST_TAG, ""),
        path=verified_path(client, tracking, version, trusted_keys(keyring or Keyring())),
    )


def artifact_directory(client: MlflowClient, tracking: TrackingConfig, run_id: str, folder: str) -> Path:
    """A run's artifact folder on this machine: in place for a local store, else downloaded once."""
    root = urlparse(client.get_run(run_id).info.artifact_uri)
    if root.scheme in ("", "file"):
        return Path(unquote(root.path)) / folder
    cache = tracking.state_directory / "downloads" / run_id
    if not (cache / folder).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=".download-") as scratch:
            fetched = Path(client.download_artifacts(run_id, folder, scratch))
            (cache / folder).parent.mkdir(parents=True, exist_ok=True)
            fetched.rename(cache / folder)
    return cache / folder


def verified_path(
    client: MlflowClient, tracking: TrackingConfig, version: ModelVersion, trusted: Collection[str]
) -> Path:
    """The model directory of a version on this machine, after checking signature and files of its folder.

    Raises:
        UserError: it was not registered by this project, nobody trusted signed it, or a file was changed.
    """
    where, expected, packed = _placed(client, tracking, version)
    found = verify_folder(packed, trusted, where).digest
    directory = model_in(packed)
    # Not where a tag says: only what is in the folder is covered by its signature.
    if directory is None or found != expected:
        raise UserError(
            f"{where}: {packed} has digest {(found or 'none')[:12]}, not {expected[:12]}; promote another"
        )
    return directory


def signed_files(
    client: MlflowClient, tracking: TrackingConfig, version: ModelVersion, trusted: Collection[str]
) -> dict[str, str]:
    """SHA-256 of everything in a version's folder, as was signed; errors of `verified_path`."""
    where, _, packed = _placed(client, tracking, version)
    return signed_content(packed, trusted, where).files


def _placed(client: MlflowClient, tracking: TrackingConfig, version: ModelVersion) -> tuple[str, str, Path]:
    """A version in words, the digest on record, and its folder on this machine."""
    where = f"{version.name} version {version.version}"
    expected, path = version.tags.get(DIGEST_TAG), version.tags.get(_PATH_TAG)
    if expected is None or path is None or version.run_id is None:
        raise UserError(
            f"{where}: not registered by this project (no digest); promote a model of `kedro run`"
        )
    packed = artifact_directory(client, tracking, version.run_id, path.partition("/")[0])
    if not packed.is_dir():
        raise UserError(f"{where}: {packed} is missing; restore it or promote another version")
    return where, expected, packed
