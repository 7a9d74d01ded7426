"""A model that is trained as `sft` is, and never sees a video."""

from __future__ import annotations

from functools import partial
from typing import Any

from d2vlm_pipeline.evaluation.predictor import ZeroVideo
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import curve_record
from d2vlm_pipeline.training.workers import TrainWorkers
from d2vlm_pipeline.video import VideoRow


def train_blind(
    start: ModelBundle,
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
    """SFT with every feature zero: the questions, and how long a clip is, are all there is to learn from."""
    from d2vlm_pipeline.tracking import curve_target
    from d2vlm_pipeline.training.distributed.launch import launch
    from d2vlm_pipeline.training.phases import train_sft

    clips = ZeroVideo(stored_clips(store, rows, sampling, encoder))
    # Its checkpoints are not those of the phase that sees.
    own = None if config.checkpoints is None else config.checkpoints.below("blind")
    config = config.model_copy(update={"threads": compute.threads, "checkpoints": own})
    phase = partial(train_sft, samples=samples, clips=clips, config=config)
    trained = launch("blind", phase, start, config, train, ray, curve_target())
    return trained.bundle, curve_record(trained.curve.points, config, train.workers)
