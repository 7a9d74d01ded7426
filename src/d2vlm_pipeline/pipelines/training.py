"""One training pipeline, used twice: SFT and FPO differ in their examples and their start model."""

from __future__ import annotations

from functools import partial
from typing import Any

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import PreferencePair, Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import curve_record
from d2vlm_pipeline.training.workers import TrainWorkers
from d2vlm_pipeline.video import VideoRow


def train_phase(
    start: ModelBundle,
    examples: list[Sample] | list[PreferencePair],
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    config: TrainConfig,
    train: TrainWorkers,
    ray: RaySettings,
    compute: ComputeConfig,
) -> tuple[ModelBundle, dict[str, Any]]:
    """Train a copy of the start model on samples (SFT) or on pairs (FPO)."""
    from d2vlm_pipeline.tracking import curve_target
    from d2vlm_pipeline.training.distributed.launch import launch
    from d2vlm_pipeline.training.phases import train_fpo, train_sft

    clips = stored_clips(store, rows, sampling, encoder)
    config = config.model_copy(update={"threads": compute.threads})
    pairs = [example for example in examples if isinstance(example, PreferencePair)]
    name, phase = "sft", partial(train_sft, samples=samples, clips=clips, config=config)
    if pairs:
        name, phase = "fpo", partial(train_fpo, samples=samples, pairs=pairs, clips=clips, config=config)
    trained = launch(name, phase, start, config, train, ray, curve_target())
    return trained.bundle, curve_record(trained.curve.points, config, train.workers)


def training_pipeline(namespace: str, start: str, examples: str) -> Pipeline:
    """The phase of that name; `start` and `examples` are its inputs, it makes `<namespace>_model`."""
    shared = {"samples", "feature_store", "video_table"}
    template = Pipeline(
        [
            Node(
                train_phase,
                [
                    "start_model",
                    "examples",
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
                ["model", "curves"],
                name="train",
                tags=["gpu"],
            )
        ]
    )
    return Pipeline(
        template,
        namespace=namespace,
        inputs={"start_model": start, "examples": examples, **{name: name for name in shared}},
        outputs={"model": f"{namespace}_model", "curves": f"{namespace}_curves"},
        parameters={
            "params:sampling": "params:sampling",
            "params:encoder": "params:encoder",
            "params:train": "params:train",
            "params:ray": "params:ray",
            "params:compute": "params:compute",
            "params:training": f"params:{namespace}",
        },
    )
