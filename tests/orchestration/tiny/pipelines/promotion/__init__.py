from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import promote


def create_pipeline() -> Pipeline:
    return Pipeline([Node(promote, "metrics", "promotion_decision", name="promote_model")])
