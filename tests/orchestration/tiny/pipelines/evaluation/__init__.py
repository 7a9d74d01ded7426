from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import score


def create_pipeline() -> Pipeline:
    return Pipeline([Node(score, "fpo_model", "metrics", name="score_models")])
