"""samples + times of frames → a model that never saw a video; not part of the main job."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines.blind.nodes import train_blind
from d2vlm_pipeline.pipelines.sft.pipeline import prepare_pipeline


def create_pipeline() -> Pipeline:
    """The SFT phase on zero features; `answering.systems` then takes `blind`."""
    train = Node(
        train_blind,
        [
            "start_model",
            "samples",
            "feature_store",
            "video_table",
            "params:sampling",
            "params:encoder",
            "params:sft",
            "params:train",
            "params:ray",
            "params:compute",
        ],
        ["blind_model", "blind_curves"],
        name="train_blind",
        tags="gpu",
    )
    return prepare_pipeline() + Pipeline([train])
