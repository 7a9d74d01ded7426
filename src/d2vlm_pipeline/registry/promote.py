"""Promotion: register the candidate, decide, move the alias, write down why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json, validation_reason
from d2vlm_pipeline.registry.audit import AuditEntry, append_entry, promotion_lock, read_audit, stamp
from d2vlm_pipeline.registry.decide import Decision, decide
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.keys import Keyring, signing_key, trusted_keys
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.versions import (
    DIGEST_TAG,
    artifact_directory,
    find_version,
    model_digest,
    register_model,
    version_at,
)
from d2vlm_pipeline.tracking import TrackingConfig, open_run, tracking_client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

_EVIDENCE_TAG = "evidence"


class PromotionOutcome(StrictModel):
    """What a promotion did.

    Attributes:
        decision: the decision with its gates.
        version: the candidate's version in the registry.
        alias: the alias in question.
        moved: whether the alias now points at the candidate and did not before.
        reason: one sentence; says it, too, where the candidate already was the champion.
    """

    decision: Decision
    version: str
    alias: str
    moved: bool
    reason: str


def promote(
    candidate_dir: Path | str,
    dossier: Dossier,
    policy: Policy,
    tracking: TrackingConfig,
    run_id: str | None = None,
    keyring: Keyring | None = None,
) -> PromotionOutcome:
    """Register a model and make it the champion where the policy allows.

    The candidate becomes a version in any case, unless the same content is one already. Where the alias
    moves, the former champion gets the alias `previous_<alias>`. Version, run and audit log say why. What a
    process left undone that was killed behind the move, the next promotion of the same content does.

    Args:
        candidate_dir: sealed model directory.
        dossier: what was measured of the candidate.
        policy: the rules.
        tracking: the MLflow store.
        run_id: an open run to log to; a run of its own is made and closed where not given.
        keyring: where keys are; those of the environment variables where not given.

    Raises:
        UserError: the directory is damaged, the dossier is about another model, the policy names an unknown
            score, the champion's dossier is not on record, or another promotion is under way.
    """
    candidate_dir, keyring = Path(candidate_dir), keyring or Keyring()
    digest, system = model_digest(candidate_dir), dossier.system
    if dossier.model not in (None, digest):
        raise UserError(
            f"{candidate_dir}: the dossier is about another model ({dossier.model[:12]}, not {digest[:12]}); "
            "run `kedro run --pipelines evaluation` with it"
        )
    with promotion_lock(tracking):
        client = tracking_client(tracking)
        champion = version_at(client, tracking, policy.alias)
        if champion is not None and (decision := _broken_off(tracking, champion, digest)):
            return _put_on_record(client, tracking, policy.alias, champion, decision, system)
        rival = None if champion is None else _dossier_on_record(client, tracking, champion)
        decision = decide(dossier, rival, policy)
        with open_run(client, tracking, run_id, "promotion") as run:
            version = find_version(client, tracking, digest, trusted_keys(keyring))
            if version is None:
                key = signing_key(keyring)
                version = register_model(client, tracking, run, candidate_dir, digest, key)
            evidence = {"dossier": dossier, "decision": decision}
            _record_evidence(client, tracking, run, version, evidence)
            moved = _move_alias(client, policy.alias, champion, version, decision)
        outcome = _outcome(policy, champion, version, decision, moved)
        append_entry(tracking, _audit_entry(tracking, outcome, champion, digest, system, run))
    return outcome


def _broken_off(tracking: TrackingConfig, champion: ModelVersion, digest: str) -> Decision | None:
    """The decision by which this content became champion, where a kill came before the audit log's entry."""
    if champion.tags.get(DIGEST_TAG) != digest or "decision" not in champion.tags:
        return None
    moves = [entry.version for entry in read_audit(tracking) if entry.action == "moved"]
    decision = Decision.model_validate_json(champion.tags["decision"])
    return decision if decision.promote and str(champion.version) not in moves else None


def _put_on_record(
    client: MlflowClient,
    tracking: TrackingConfig,
    alias: str,
    champion: ModelVersion,
    decision: Decision,
    system: str,
) -> PromotionOutcome:
    """What a promotion that was broken off behind the move had left to do."""
    outcome = PromotionOutcome(
        decision=decision, version=str(champion.version), alias=alias, moved=True, reason=decision.reason
    )
    former = version_at(client, tracking, f"previous_{alias}")
    digest, run_id = champion.tags[DIGEST_TAG], champion.run_id or ""
    append_entry(tracking, _audit_entry(tracking, outcome, former, digest, system, run_id))
    return outcome


def _dossier_on_record(client: MlflowClient, tracking: TrackingConfig, champion: ModelVersion) -> Dossier:
    """The dossier with which a version was promoted."""
    where = f"{champion.name} version {champion.version}"
    mend = f"delete its alias with MLflow, then promote again ({tracking.tracking_uri})"
    run_id, _, folder = champion.tags.get(_EVIDENCE_TAG, "").partition("/")
    if not folder:
        raise UserError(f"{where}: has the alias but no dossier on record to compare with; {mend}")
    path = artifact_directory(client, tracking, run_id, folder) / "dossier.json"
    try:
        return Dossier.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{where}: {path} is missing; {mend}") from None
    except ValidationError as error:
        raise UserError(f"{where}: {path}: {validation_reason(error)}; {mend}") from None


def _record_evidence(
    client: MlflowClient,
    tracking: TrackingConfig,
    run_id: str,
    version: ModelVersion,
    evidence: Mapping[str, Any],
) -> None:
    """Keep what the decision rests on: files in the run, pointers and verdict as tags of the version."""
    folder = f"evidence-{version.tags[DIGEST_TAG][:12]}"
    for name, record in evidence.items():
        client.log_text(run_id, canonical_json(record) + "\n", f"{folder}/{name}.json")
    decision: Decision = evidence["decision"]
    tags = {
        _EVIDENCE_TAG: f"{run_id}/{folder}",
        "system": evidence["dossier"].system,
        "data": canonical_json(evidence["dossier"].scores.data),
        "decision": canonical_json(decision),
    }
    for key, value in tags.items():
        client.set_model_version_tag(tracking.model_name, str(version.version), key, value)
    client.set_tag(run_id, "promotion.version", str(version.version))
    client.set_tag(run_id, "promotion.reason", decision.reason)


def _move_alias(
    client: MlflowClient,
    alias: str,
    champion: ModelVersion | None,
    version: ModelVersion,
    decision: Decision,
) -> bool:
    """Point the alias at the version where the decision says so; whether anything changed."""
    if not decision.promote or (champion is not None and champion.version == version.version):
        return False
    if champion is not None:
        # First, so that a process killed between the two leaves a champion and a way back to it.
        client.set_registered_model_alias(version.name, f"previous_{alias}", str(champion.version))
    client.set_registered_model_alias(version.name, alias, str(version.version))
    return True


def _outcome(
    policy: Policy, champion: ModelVersion | None, version: ModelVersion, decision: Decision, moved: bool
) -> PromotionOutcome:
    reason = decision.reason
    if champion is not None and champion.version == version.version:
        reason = f"alias {policy.alias} stays: version {version.version} with the same content has it already"
    return PromotionOutcome(
        decision=decision, version=str(version.version), alias=policy.alias, moved=moved, reason=reason
    )


def _audit_entry(
    tracking: TrackingConfig,
    outcome: PromotionOutcome,
    champion: ModelVersion | None,
    digest: str,
    system: str,
    run_id: str,
) -> AuditEntry:
    return AuditEntry(
        **stamp(),
        action="moved" if outcome.moved else "kept",
        model=tracking.model_name,
        alias=outcome.alias,
        version=outcome.version,
        previous_version=None if champion is None else str(champion.version),
        digest=digest,
        system=system,
        run_id=run_id,
        reason=outcome.reason,
        decision=outcome.decision,
    )
