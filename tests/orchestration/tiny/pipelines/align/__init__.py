"""A pipeline beside the main job."""

from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import train


def create_pipeline() -> Pipeline:
    return Pipeline([Node(train, ["points", "params:sft"], "aligned_model", name="align_model")])
