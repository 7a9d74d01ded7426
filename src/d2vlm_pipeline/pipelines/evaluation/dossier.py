"""The dossier: what promotion decides on, put together from all that was measured of the FPO model."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, LeaveAsIs
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.scores import scores_of
from d2vlm_pipeline.timeline import Prediction

CANDIDATE = "fpo"
"""The system that can be promoted."""


def assemble_dossier(
    metrics: dict[str, Any], predictions: list[Prediction] | None, answering: AnswerConfig
) -> dict[str, Any] | LeaveAsIs:
    """All that was measured of the candidate; where it was not asked there is nothing to decide on."""
    if CANDIDATE not in answering.systems or not predictions:
        return LeaveAsIs()
    dossier = Dossier(
        system=CANDIDATE, scores=scores_of(metrics, CANDIDATE), model=predictions[0].model.digest
    )
    return dossier.model_dump(mode="json")


def dossier_pipeline() -> Pipeline:
    """What promotion reads."""
    return Pipeline(
        [
            Node(
                assemble_dossier,
                ["metrics", "fpo_predictions", "params:answering"],
                "dossier",
                name="assemble_dossier",
                tags=["cpu", WITHOUT_OPTIONAL],
            )
        ]
    )
