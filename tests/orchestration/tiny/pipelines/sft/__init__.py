from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import train


def create_pipeline() -> Pipeline:
    return Pipeline([Node(train, ["points", "params:sft"], "sft_model", name="train_sft")])
