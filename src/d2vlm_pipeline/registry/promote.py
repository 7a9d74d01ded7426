"""Promotion: decide, register, keep the evidence, append to the log, and let the aliases follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.registry.audit import AuditEntry
from d2vlm_pipeline.registry.bundle import EVIDENCE_TAG, EvidenceBundle, read_bundle
from d2vlm_pipeline.registry.candidates import Candidate, RegisteredModel, TrainedModel
from d2vlm_pipeline.registry.decide import Decision, decide
from d2vlm_pipeline.registry.describing import describe, keep_evidence
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.following import withdrawn
from d2vlm_pipeline.registry.keys import Keyring, signing_key
from d2vlm_pipeline.registry.moving import Move
from d2vlm_pipeline.registry.policy import Policy
from d2vlm_pipeline.registry.steps import PROMOTION, Step, Watch, take_steps, unwatched
from d2vlm_pipeline.registry.versions import DIGEST_TAG, model_digest, verified_path
from d2vlm_pipeline.tracking import TrackingConfig, open_run

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class PromotionOutcome(StrictModel):
    """What a promotion did.

    Attributes:
        decision: the decision with its gates.
        version: the candidate's version in the registry.
        alias: the alias in question.
        moved: whether the alias now points at the candidate and did not before.
        reason: one sentence; says it, too, where the candidate already was the champion.
        is_champion: whether the alias points at the candidate now.
    """

    decision: Decision
    version: str
    alias: str
    moved: bool
    reason: str
    is_champion: bool = False


def promote(
    candidate_dir: Path | str,
    dossier: Dossier,
    policy: Policy,
    tracking: TrackingConfig,
    run_id: str | None = None,
    keyring: Keyring | None = None,
    watch: Watch = unwatched,
) -> PromotionOutcome:
    """Register a model and make it the champion where the policy allows.

    The candidate becomes a signed version in any case, unless the same content is one already. Where the
    alias moves, the former champion gets the alias `previous_<alias>`; where it does not, the candidate gets
    the alias `challenger`. What a killed process left undone, the next promotion or rollback does first.

    Args:
        candidate_dir: sealed model directory.
        dossier: what was measured of the candidate.
        policy: the rules.
        tracking: the MLflow store.
        run_id: an open run to log to; a run of its own is made and closed where not given.
        keyring: where keys are; those of the environment variables where not given.
        watch: is told of every step of `steps.PROMOTION` before it is taken.

    Raises:
        UserError: the directory is damaged, the dossier is about another model, the policy names an unknown
            score, the champion's evidence is missing or cannot be trusted, somebody changed the alias past
            the log, or another promotion was faster or is under way.
    """
    candidate = _trained(Path(candidate_dir), dossier)
    return _promoted(candidate, policy, tracking, run_id, keyring, watch)


def rehearse(
    candidate_dir: Path | str,
    dossier: Dossier,
    policy: Policy,
    tracking: TrackingConfig,
    keyring: Keyring | None = None,
) -> Decision:
    """What `promote` would decide now; the store is read, and nothing in it is changed.

    Raises:
        UserError: as `promote`, of what it finds before it decides.
    """
    candidate = _trained(Path(candidate_dir), dossier)
    with ExitStack() as stack:
        move = Move(tracking, policy.alias, keyring or Keyring(), stack)
        promotion = _Promotion(move, candidate, policy, None)
        move.read()
        promotion.decide()
    reason = f"{promotion.note}{promotion.decision.reason}"
    return promotion.decision.model_copy(update={"reason": reason})


def _trained(directory: Path, dossier: Dossier) -> TrainedModel:
    digest = model_digest(directory)
    if dossier.model not in (None, digest):
        raise UserError(
            f"{directory}: the dossier is about another model ({dossier.model[:12]}, not {digest[:12]}); "
            "run `kedro run --pipelines evaluation` with it"
        )
    return TrainedModel(directory, digest, dossier)


def promote_version(
    version: str,
    policy: Policy,
    tracking: TrackingConfig,
    reason: str | None = None,
    keyring: Keyring | None = None,
    watch: Watch = unwatched,
) -> PromotionOutcome:
    """Decide again about a registered version, by its own evidence and the policy as it is now.

    Raises:
        UserError: there is no such version, it or its evidence cannot be trusted, or as `promote`.
    """
    keyring = keyring or Keyring()
    candidate = RegisteredModel.find(version, tracking, keyring)
    return _promoted(candidate, policy, tracking, None, keyring, watch, reason)


def _promoted(
    candidate: Candidate,
    policy: Policy,
    tracking: TrackingConfig,
    run_id: str | None,
    keyring: Keyring | None,
    watch: Watch,
    reason: str | None = None,
) -> PromotionOutcome:
    with ExitStack() as stack:
        move = Move(tracking, policy.alias, keyring or Keyring(), stack)
        promotion = _Promotion(move, candidate, policy, run_id, reason)
        take_steps(PROMOTION, promotion.work(), watch)
    return promotion.outcome


@dataclass
class _Promotion:
    """One promotion, while it is under way; its work step by step."""

    move: Move
    candidate: Candidate
    policy: Policy
    run_id: str | None
    given_reason: str | None = None
    decision: Decision = field(init=False)
    note: str = ""
    run: str = field(init=False)
    version: ModelVersion = field(init=False)
    evidence: str = field(init=False)
    outcome: PromotionOutcome = field(init=False)

    def work(self) -> Mapping[Step, Callable[[], object]]:
        return {
            **self.move.work(),
            Step.FINISH: self.finish,
            Step.DECIDE: self.decide,
            Step.REGISTER: self.register,
            Step.EVIDENCE: self.keep,
            Step.DESCRIBE: self.describe,
            Step.APPEND: self.append,
        }

    @property
    def is_champion(self) -> bool:
        """Whether the candidate's version has the alias already."""
        champion = self.move.champion
        return champion is not None and champion.version == self.version.version

    def finish(self) -> bool:
        """Finish what was broken off; where that was the promotion of this very model, there is no more."""
        self.move.finish()
        champion = self.move.champion
        for entry in self.move.finished:
            if entry.action == "promote" and entry.digest == self.candidate.digest and champion is not None:
                bundle = self._evidence_of(champion)
                self.outcome = PromotionOutcome(
                    decision=bundle.decision,
                    version=entry.version,
                    alias=entry.alias,
                    moved=True,
                    reason=entry.reason,
                    is_champion=True,
                )
                return False
        return True

    def decide(self) -> None:
        self.decision = decide(self.candidate.dossier, self._rival(), self.policy)

    def register(self) -> None:
        move = self.move
        self.run = move.stack.enter_context(open_run(move.client, move.tracking, self.run_id, "promotion"))
        key = signing_key(move.keyring)
        self.version = self.candidate.version(move.client, move.tracking, self.run, key, move.trusted)

    def keep(self) -> None:
        facts = (self.run, self.version, self.candidate, self.policy, self.decision)
        self.evidence = keep_evidence(self.move.client, self.move.tracking, self.move.keyring, *facts)

    def describe(self) -> None:
        if self.is_champion:  # what it says of itself is why it was promoted
            return
        facts = (self.run, self.version, self.candidate.dossier, self.decision, self._reason())
        describe(self.move.client, self.move.tracking, *facts)

    def append(self) -> None:
        moved = self.decision.promote and not self.is_champion and self._withdrawn() is None
        self.move.append(
            "promote" if moved else "keep",
            self.version,
            digest=self.candidate.digest,
            system=self.candidate.dossier.system,
            run_id=self.run,
            evidence=self.evidence,
            reason=self._reason(),
        )
        self.outcome = PromotionOutcome(
            decision=self.decision,
            version=str(self.version.version),
            alias=self.policy.alias,
            moved=moved,
            reason=self._reason(),
            is_champion=moved or self.is_champion,
        )

    def _reason(self) -> str:
        if self.is_champion:
            return (
                f"alias {self.policy.alias} stays: version {self.version.version} with the same content has "
                "it already"
            )
        if self.decision.promote and (rollback := self._withdrawn()) is not None:
            return (
                f"alias {self.policy.alias} stays: {rollback.who} took it from this model at {rollback.at} "
                f"({rollback.reason}); `d2vlm models promote {self.version.version}` gives it back"
            )
        given = f" ({self.given_reason})" if self.given_reason else ""
        return f"{self.note}{self.decision.reason}{given}"

    def _withdrawn(self) -> AuditEntry | None:
        """The rollback that stands against the candidate: a run that comes along must not undo it."""
        if self.candidate.is_named:
            return None
        return withdrawn(self.move.log.entries, self.policy.alias, self.candidate.digest)

    def _rival(self) -> Dossier | None:
        """What the champion was promoted on; None where there is nothing to be held against.

        Raises:
            UserError: the champion's evidence is missing, or cannot be trusted.
        """
        champion = self.move.champion
        if champion is None:
            return None
        if EVIDENCE_TAG not in champion.tags and not self.move.log.entries:
            self.note = f"version {champion.version} had the alias without evidence to be held against; "
            return None
        if champion.tags.get(DIGEST_TAG) == self.candidate.digest:  # nobody beats himself
            intact = self._is_intact(champion)
            self.note = "" if intact else f"version {champion.version}, the same content, is damaged; "
            return None
        return self._evidence_of(champion).dossier

    def _is_intact(self, version: ModelVersion) -> bool:
        try:
            verified_path(self.move.client, self.move.tracking, version, self.move.trusted)
        except UserError:
            return False
        return True

    def _evidence_of(self, version: ModelVersion) -> EvidenceBundle:
        return read_bundle(self.move.client, self.move.tracking, version, self.move.trusted)
