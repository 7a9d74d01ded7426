"""candidate, champion, policy → decision, alias move, audit entry."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.orchestration import FOLLOWS_CHAMPION
from d2vlm_pipeline.pipelines.promotion.nodes import promote_model


def create_pipeline() -> Pipeline:
    """Decide whether the FPO model becomes the champion."""
    return Pipeline(
        [
            Node(
                promote_model,
                ["fpo_model", "dossier", "params:promotion", "params:registry"],
                "promotion_decision",
                name="promote_model",
                tags=["cpu", FOLLOWS_CHAMPION],
            )
        ]
    )
