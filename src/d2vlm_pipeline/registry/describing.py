"""What a version says of itself in the registry: its evidence, the verdict, and why in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.registry.bundle import EVIDENCE_TAG, EvidenceBundle, SignedModel, write_bundle
from d2vlm_pipeline.registry.candidates import Candidate
from d2vlm_pipeline.registry.decide import Decision
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.keys import Keyring, signing_key, trusted_keys
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.versions import signed_files
from d2vlm_pipeline.registry.wording import in_words
from d2vlm_pipeline.tracking import TrackingConfig

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

# As many characters as MLflow's tables have room for.
_LONGEST_DESCRIPTION = 5000


def keep_evidence(
    client: MlflowClient,
    tracking: TrackingConfig,
    keyring: Keyring,
    run_id: str,
    version: ModelVersion,
    candidate: Candidate,
    policy: Policy,
    decision: Decision,
) -> str:
    """Log the signed evidence bundle to the run, and point the version at it; the bundle's SHA-256."""
    key = signing_key(keyring)
    bundle = EvidenceBundle(
        model=SignedModel(
            name=tracking.model_name,
            digest=candidate.digest,
            files=signed_files(client, tracking, version, trusted_keys(keyring)),
        ),
        lineage=candidate.lineage(tracking, run_id),
        dossier=candidate.dossier,
        policy=policy,
        decision=decision,
        signer=key.public,
    )
    place, digest = write_bundle(client, run_id, bundle, key)
    client.set_model_version_tag(version.name, str(version.version), EVIDENCE_TAG, place)
    return digest


def describe(
    client: MlflowClient,
    tracking: TrackingConfig,
    run_id: str,
    version: ModelVersion,
    dossier: Dossier,
    decision: Decision,
    reason: str,
) -> None:
    """Say in words, and in tags that can be searched, how the version was decided on."""
    number = str(version.version)
    tags = {
        "system": dossier.system,
        "data": canonical_json(dossier.scores.data),
        "decision": canonical_json(decision),
    }
    for name, value in tags.items():
        client.set_model_version_tag(tracking.model_name, number, name, value)
    words = f"{in_words(decision)}\n\n{reason}"
    client.update_model_version(tracking.model_name, number, words[:_LONGEST_DESCRIPTION])
    client.set_tag(run_id, "promotion.version", number)
    client.set_tag(run_id, "promotion.reason", reason)
