"""What can be promoted: a model that was just trained, or a version that is registered already."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.bundle import read_bundle
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.keys import Keyring, SigningKey, trusted_keys
from d2vlm_pipeline.registry.reach import existing_store
from d2vlm_pipeline.registry.versions import (
    find_version,
    register_model,
    verified_path,
    version_numbered,
)
from d2vlm_pipeline.tracking import TrackingConfig
from d2vlm_pipeline.tracking.lineage import read_lineage

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


class Candidate(Protocol):
    """A model and what was measured of it."""

    @property
    def digest(self) -> str:
        """Of its model directory."""
        ...

    @property
    def dossier(self) -> Dossier:
        """What was measured."""
        ...

    @property
    def is_named(self) -> bool:
        """Whether a person has named it, and not a run that does what it always does."""
        ...

    def version(
        self,
        client: MlflowClient,
        tracking: TrackingConfig,
        run_id: str,
        key: SigningKey,
        trusted: Collection[str],
    ) -> ModelVersion:
        """Its version in the registry, signed and whole."""
        ...

    def lineage(self, tracking: TrackingConfig, run_id: str) -> dict[str, Any] | None:
        """What made it; None where nothing says."""
        ...


@dataclass(frozen=True)
class TrainedModel:
    """A sealed model directory."""

    directory: Path
    digest: str
    dossier: Dossier
    is_named: bool = False

    def version(
        self,
        client: MlflowClient,
        tracking: TrackingConfig,
        run_id: str,
        key: SigningKey,
        trusted: Collection[str],
    ) -> ModelVersion:
        """The version with this content, registered where there is none that is intact and signed."""
        found = find_version(client, tracking, self.digest, trusted)
        return found or register_model(client, tracking, run_id, self.directory, self.digest, key)

    def lineage(self, tracking: TrackingConfig, run_id: str) -> dict[str, Any] | None:
        """That of the run which promotes: it has made the model, or says from which files it took it."""
        return read_lineage(tracking, run_id)


@dataclass(frozen=True)
class RegisteredModel:
    """A version of the registry, with the evidence that it was registered with."""

    found: ModelVersion
    digest: str
    dossier: Dossier
    made_by: dict[str, Any] | None
    is_named: bool = True

    @classmethod
    def find(cls, version: str, tracking: TrackingConfig, keyring: Keyring) -> RegisteredModel:
        """Look a version up.

        Raises:
            UserError: there is none of that number, or its evidence is missing or cannot be trusted.
        """
        client = existing_store(tracking)
        if client is None:
            raise UserError(f"{tracking.model_name}: no version {version}, nor any; run `kedro run` first")
        found = version_numbered(client, tracking, version)
        bundle = read_bundle(client, tracking, found, trusted_keys(keyring))
        return cls(found, bundle.model.digest, bundle.dossier, bundle.lineage)

    def version(
        self,
        client: MlflowClient,
        tracking: TrackingConfig,
        run_id: str,
        key: SigningKey,
        trusted: Collection[str],
    ) -> ModelVersion:
        """The version, its files verified."""
        verified_path(client, tracking, self.found, trusted)
        return self.found

    def lineage(self, tracking: TrackingConfig, run_id: str) -> dict[str, Any] | None:
        """As it was."""
        return self.made_by
