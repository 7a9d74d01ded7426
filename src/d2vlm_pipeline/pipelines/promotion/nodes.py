"""The candidate, its dossier and the policy → a decision, and the alias moves or stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.orchestration import NothingDone
from d2vlm_pipeline.registry.config import RegistryConfig
from d2vlm_pipeline.registry.policy import Policy

if TYPE_CHECKING:
    from d2vlm_pipeline.registry import Decision


def promote_model(
    model: ModelBundle, dossier: dict[str, Any] | None, policy: Policy, registry: RegistryConfig
) -> dict[str, Any] | NothingDone:
    """Register the FPO model and give it the champion's alias where the policy allows.

    With `promotion.dry_run` it is only shown how every gate comes out.

    Raises:
        UserError: no MLflow run is open, the model was not measured, or it lies in no sealed directory.
    """
    from d2vlm_pipeline.orchestration.project import run_project
    from d2vlm_pipeline.orchestration.registry_settings import keyring_of
    from d2vlm_pipeline.registry import Dossier, promote, rehearse
    from d2vlm_pipeline.tracking import current_run, current_store

    if dossier is None:
        raise UserError(
            "promotion needs a dossier of the model: name fpo in answering.systems, then run "
            "`kedro run --pipelines evaluation`"
        )
    if model.directory is None:
        raise UserError("promotion needs a saved model; run `kedro run --pipelines sft,fpo` first")
    keyring = keyring_of(registry, run_project())
    evidence = Dossier.model_validate(dossier)
    if policy.dry_run:
        show_decision(rehearse(model.directory, evidence, policy, current_store(), keyring))
        return NothingDone()
    run = current_run()
    outcome = promote(model.directory, evidence, policy, run.tracking, run.run_id, keyring)
    record: dict[str, Any] = outcome.model_dump(mode="json")
    return record


def show_decision(decision: Decision) -> None:
    """Print what would be decided: every gate, then the sentence."""
    from d2vlm_pipeline.orchestration.summary import default_console
    from d2vlm_pipeline.registry.gate_table import gate_table

    console = default_console()
    # As it is: a terminal narrower than the table should cut no figure in two.
    console.print(gate_table(decision), highlight=False, soft_wrap=True)
    console.print(f"dry run, nothing was changed: {decision.reason}", highlight=False, markup=False)
