"""The candidate, its scores and the policy → a decision, and the alias moves or stays."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.registry.policy import Policy


def promote_model(model: ModelBundle, metrics: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """Register the FPO model and give it the champion's alias where the policy allows.

    Raises:
        UserError: no MLflow run is open, or the model was not loaded from a sealed directory.
    """
    from d2vlm_pipeline.registry import promote
    from d2vlm_pipeline.tracking import current_run

    if model.directory is None:
        raise UserError("promotion needs a saved model; run `kedro run --pipelines sft,fpo` first")
    run = current_run()
    outcome = promote(model.directory, metrics, "fpo", policy, run.tracking, run.run_id)
    record: dict[str, Any] = outcome.model_dump(mode="json")
    return record
