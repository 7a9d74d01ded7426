"""samples + features → model directory + curves."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.sft.nodes import prepare_model
from d2vlm_pipeline.pipelines.training import training_pipeline


def create_pipeline() -> Pipeline:
    """Fetch the start model, then train it on true responses."""
    return prepare_pipeline() + training_pipeline("sft", start="start_model", examples="samples")


def prepare_pipeline() -> Pipeline:
    """The model that supervised training starts from."""
    prepare = Node(
        prepare_model,
        ["params:start", "params:model", "samples", "params:sampling", "params:encoder", "params:sft"],
        "start_model",
        name="prepare_model",
        tags="cpu",
    )
    return Pipeline([prepare])
