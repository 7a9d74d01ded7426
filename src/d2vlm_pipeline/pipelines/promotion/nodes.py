"""The candidate, its scores and the policy → a decision, and the alias moves or stays."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.registry.config import RegistryConfig
from d2vlm_pipeline.registry.policy import Policy


def promote_model(
    model: ModelBundle, dossier: dict[str, Any] | None, policy: Policy, registry: RegistryConfig
) -> dict[str, Any]:
    """Register the FPO model and give it the champion's alias where the policy allows.

    Raises:
        UserError: no MLflow run is open, the model was not measured, or it lies in no sealed directory.
    """
    from d2vlm_pipeline.orchestration.project import run_project
    from d2vlm_pipeline.orchestration.registry_settings import keyring_of
    from d2vlm_pipeline.registry import Dossier, promote
    from d2vlm_pipeline.tracking import current_run

    if dossier is None:
        raise UserError(
            "promotion needs a dossier of the model: name fpo in answering.systems, then run "
            "`kedro run --pipelines evaluation`"
        )

    if model.directory is None:
        raise UserError("promotion needs a saved model; run `kedro run --pipelines sft,fpo` first")
    run = current_run()
    keyring = keyring_of(registry, run_project())
    evidence = Dossier.model_validate(dossier)
    outcome = promote(model.directory, evidence, policy, run.tracking, run.run_id, keyring)
    record: dict[str, Any] = outcome.model_dump(mode="json")
    return record
