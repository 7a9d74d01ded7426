"""Back to a version that was champion before: verified, asked a question, and only then given the alias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.registry.bundle import EVIDENCE_TAG, EvidenceBundle, bundle_digest, read_bundle
from d2vlm_pipeline.registry.config import SmokeQuestion
from d2vlm_pipeline.registry.following import previous_name
from d2vlm_pipeline.registry.keys import Keyring
from d2vlm_pipeline.registry.moving import Move
from d2vlm_pipeline.registry.reach import existing_store, no_champion
from d2vlm_pipeline.registry.smoke import smoke_test
from d2vlm_pipeline.registry.steps import ROLLBACK, Step, Watch, take_steps, unwatched
from d2vlm_pipeline.registry.versions import verified_path, version_at, version_numbered
from d2vlm_pipeline.timeline import ModelRef, Prediction
from d2vlm_pipeline.tracking import TrackingConfig

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

Ask = Callable[[Path, ModelRef, str], Prediction]
"""Asks the model in a directory a question; `smoke.smoke_test`."""


class RollbackOutcome(StrictModel):
    """What a rollback did.

    Attributes:
        version: who has the alias now.
        previous_version: who had it before.
        reason: as the audit log says it.
        answer: what the version answered before it got the alias.
    """

    alias: str
    version: str
    previous_version: str | None
    reason: str
    answer: Prediction


def rollback(
    tracking: TrackingConfig,
    alias: str = "champion",
    version: str | None = None,
    reason: str | None = None,
    keyring: Keyring | None = None,
    smoke: SmokeQuestion | None = None,
    watch: Watch = unwatched,
    ask: Ask = smoke_test,
) -> RollbackOutcome:
    """Give an alias back to a version that had it.

    Args:
        tracking: the MLflow store.
        alias: which one.
        version: who gets it; the former holder where not given.
        reason: for the audit log, why.
        keyring: where keys are; those of the environment variables where not given.
        smoke: what the version has to answer.
        watch: is told of every step of `steps.ROLLBACK` before it is taken.
        ask: asks it.

    Raises:
        UserError: there is nothing to go back to, the version never had the alias or has it already, it or
            its evidence cannot be trusted, it does not answer, or another was faster or is under way.
    """
    if existing_store(tracking) is None:
        raise no_champion(tracking, alias)
    with ExitStack() as stack:
        move = Move(tracking, alias, keyring or Keyring(), stack)
        back = _Rollback(move, version, reason, smoke or SmokeQuestion(), ask)
        take_steps(ROLLBACK, back.work(), watch)
    return RollbackOutcome(
        alias=alias,
        version=str(back.target.version),
        previous_version=back.before,
        reason=back.why,
        answer=back.answer,
    )


@dataclass
class _Rollback:
    """One rollback, while it is under way; its work step by step."""

    move: Move
    version: str | None
    reason: str | None
    smoke: SmokeQuestion
    ask: Ask
    target: ModelVersion = field(init=False)
    bundle: EvidenceBundle = field(init=False)
    path: Path = field(init=False)
    answer: Prediction = field(init=False)

    def work(self) -> Mapping[Step, Callable[[], object]]:
        return {
            **self.move.work(),
            # With a version named, where the alias was put by hand is put on record, or undone.
            Step.FINISH: lambda: self.move.finish(may_differ=self.version is not None),
            Step.VERIFY: self.verify,
            Step.SMOKE: self.try_out,
            Step.APPEND: self.append,
        }

    @property
    def before(self) -> str | None:
        """Who had the alias."""
        champion = self.move.champion
        return None if champion is None else str(champion.version)

    @property
    def why(self) -> str:
        """The reason in the log."""
        return self.reason or f"alias {self.move.alias} goes back to version {self.target.version}"

    def verify(self) -> None:
        move = self.move
        self.target = version_numbered(move.client, move.tracking, self._number())
        self.path = verified_path(move.client, move.tracking, self.target, move.trusted)
        self.bundle = read_bundle(move.client, move.tracking, self.target, move.trusted)

    def try_out(self) -> None:
        tracking, number = self.move.tracking, str(self.target.version)
        ref = ModelRef(name=tracking.model_name, version=number, digest=self.bundle.model.digest)
        self.answer = self.ask(self.path, ref, self.smoke.question)

    def append(self) -> None:
        self.move.append(
            "rollback",
            self.target,
            digest=self.bundle.model.digest,
            system=self.bundle.dossier.system,
            run_id=self.target.tags[EVIDENCE_TAG].partition("/")[0],
            evidence=bundle_digest(self.bundle),
            reason=self.why,
        )

    def _number(self) -> str:
        """The version to go back to.

        Raises:
            UserError: there is none, or it must not get the alias without a decision.
        """
        move, held = self.move, self.before
        if held is None and self.version is None:
            raise no_champion(move.tracking, move.alias)
        former = version_at(move.client, move.tracking, previous_name(move.alias))
        number = self.version or (None if former is None else str(former.version))
        if number is None:
            raise UserError(
                f"alias {move.alias}: version {held} is the first that has it, there is none to go back to; "
                "name one that was promoted (`d2vlm models list`)"
            )
        self._permit(number, held, former)
        return number

    def _permit(self, number: str, held: str | None, former: ModelVersion | None) -> None:
        move = self.move
        version_numbered(move.client, move.tracking, number)
        if number == held == move.wanted.champion:
            raise UserError(f"alias {move.alias}: version {number} has it already; name another version")
        had = {entry.version for entry in move.log.entries if entry.moves and entry.alias == move.alias}
        if number not in had | ({str(former.version)} if former is not None else set()):
            raise UserError(
                f"version {number} never had the alias {move.alias}; `d2vlm models promote {number}` decides "
                "whether it gets it"
            )
