from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import tune


def create_pipeline() -> Pipeline:
    return Pipeline([Node(tune, ["sft_model", "points"], "fpo_model", name="train_fpo")])
