"""captions of another world → aligned backbone; the main job starts from the one that ships."""

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.pipelines import ingestion
from d2vlm_pipeline.pipelines.align.nodes import align_backbone
from d2vlm_pipeline.pipelines.features.pipeline import extraction_pipeline

# What the two worlds share; everything else of the namespace is the alignment world's own.
_SHARED = ("sampling", "encoder", "decode_limits", "compute", "ray", "train", "model")


def create_pipeline() -> Pipeline:
    """Render, probe and encode a world of another seed, then learn its captions."""
    align = Node(
        align_backbone,
        [
            "params:model",
            "samples",
            "feature_store",
            "video_table",
            "params:sampling",
            "params:encoder",
            "params:training",
            "params:train",
            "params:ray",
            "params:compute",
        ],
        ["aligned_model", "curves"],
        name="align_backbone",
        tags="gpu",
    )
    return Pipeline(
        ingestion.create_pipeline() + extraction_pipeline() + Pipeline([align]),
        namespace="align",
        parameters={
            **{f"params:{name}": f"params:{name}" for name in _SHARED},
            "params:world": "params:align_world",
            "params:data": "params:align_data",
            "params:training": "params:align",
        },
    )
