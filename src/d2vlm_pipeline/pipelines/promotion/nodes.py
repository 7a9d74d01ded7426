"""The candidate, its scores and the policy → a decision, and the alias moves or stays."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.registry.policy import Policy


def promote_model(model: ModelBundle, dossier: dict[str, Any] | None, policy: Policy) -> dict[str, Any]:
    """Register the FPO model and give it the champion's alias where the policy allows.

    Raises:
        UserError: no MLflow run is open, the model was not measured, or it lies in no sealed directory.
    """
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
    outcome = promote(model.directory, Dossier.model_validate(dossier), policy, run.tracking, run.run_id)
    record: dict[str, Any] = outcome.model_dump(mode="json")
    return record
