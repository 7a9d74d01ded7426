from kedro.pipeline import Node, Pipeline

from orchestration.tiny.nodes import read_points


def create_pipeline() -> Pipeline:
    return Pipeline([Node(read_points, "params:points", "points", name="read_points")])
