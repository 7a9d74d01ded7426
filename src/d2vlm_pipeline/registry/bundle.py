"""The evidence bundle: what a promotion rested on, signed, and kept with the version."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json, digest_bytes, validation_reason
from d2vlm_pipeline.registry.decide import Decision
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.evidence import check_bytes, parse_signature, sign_bytes
from d2vlm_pipeline.registry.keys import PublicKey, SigningKey
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.versions import DIGEST_TAG, artifact_directory
from d2vlm_pipeline.tracking import TrackingConfig

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

EVIDENCE_TAG = "evidence"
BUNDLE_NAME = "bundle.json"
SIGNATURE_NAME = "bundle.sig"


class SignedModel(StrictModel):
    """What was decided about.

    Attributes:
        name: of the registered model.
        digest: of the model directory.
        files: SHA-256 of everything in the MLflow model folder, by POSIX path.
    """

    name: str
    digest: str
    files: dict[str, str]


class EvidenceBundle(StrictModel):
    """All that a decision rested on, as canonical JSON.

    Attributes:
        form: of the bundle.
        lineage: what made the model; None where its run carries none.
        dossier: what was measured of it.
        policy: the rules.
        decision: what they said, gate by gate.
        signer: the public key of who promoted.
    """

    form: Literal[1] = 1
    model: SignedModel
    lineage: dict[str, Any] | None
    dossier: Dossier
    policy: Policy
    decision: Decision
    signer: PublicKey


def write_bundle(
    client: MlflowClient, run_id: str, bundle: EvidenceBundle, key: SigningKey
) -> tuple[str, str]:
    """Log a bundle and its signature to a run; where it lies (`RUN/FOLDER`), and its SHA-256."""
    folder = f"evidence-{bundle.model.digest[:12]}"
    text = _text(bundle)
    signature = sign_bytes(text.encode(), key)
    client.log_text(run_id, text, f"{folder}/{BUNDLE_NAME}")
    client.log_text(run_id, f"{canonical_json(signature)}\n", f"{folder}/{SIGNATURE_NAME}")
    return f"{run_id}/{folder}", bundle_digest(bundle)


def bundle_digest(bundle: EvidenceBundle) -> str:
    """SHA-256 of a bundle's file."""
    return digest_bytes(_text(bundle).encode())


def read_bundle(
    client: MlflowClient, tracking: TrackingConfig, version: ModelVersion, trusted: Collection[str]
) -> EvidenceBundle:
    """The evidence of a version.

    Raises:
        UserError: there is none, it was changed, nobody trusted signed it, or it is about another model.
    """
    where = f"{version.name} version {version.version}"
    mend = "`kedro run --pipelines promotion --force` makes it anew"
    run_id, _, folder = version.tags.get(EVIDENCE_TAG, "").partition("/")
    if not folder:
        raise UserError(f"{where}: has no evidence on record; {mend}")
    place = artifact_directory(client, tracking, run_id, folder)
    try:
        data, signature = (place / BUNDLE_NAME).read_bytes(), (place / SIGNATURE_NAME).read_bytes()
    except OSError as error:
        raise UserError(f"{where}: {error.filename} is missing; {mend}") from None
    check_bytes(data, parse_signature(signature, f"{where}: {SIGNATURE_NAME}"), trusted, f"{where}, evidence")
    try:
        bundle = EvidenceBundle.model_validate_json(data)
    except ValidationError as error:
        raise UserError(f"{where}: {place / BUNDLE_NAME}: {validation_reason(error)}; {mend}") from None
    if bundle.model.digest != version.tags.get(DIGEST_TAG):
        raise UserError(f"{where}: its evidence is about another model; {mend}")
    return bundle


def _text(bundle: EvidenceBundle) -> str:
    return f"{canonical_json(bundle)}\n"
