"""What a pretrained language model is given of frames before it trains itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.fingerprint import fingerprint
from d2vlm_pipeline.training.host import ALONE, Host
from d2vlm_pipeline.training.jobs import progress_of
from d2vlm_pipeline.training.loop import run_phase
from d2vlm_pipeline.training.naming import WordSpace, naming_batches, naming_step
from d2vlm_pipeline.training.running import Trained
from d2vlm_pipeline.training.shown import shown_clips
from d2vlm_pipeline.training.signals import stoppable


@stoppable()
def train_naming(
    start: ModelBundle,
    samples: Sequence[Sample],
    clips: StoredClips,
    config: LoopConfig,
    host: Host = ALONE,
) -> Trained:
    """The projector alone: frames take on the embeddings of their captions' words."""
    model = copy.deepcopy(start.model)
    shown = shown_clips(samples, clips, start.layout)
    space = WordSpace.of_model(model, start.tokenizer)
    targets = [space.frames(clip) for clip in shown]
    order = derive_seed(config.seed, "naming", "order")
    data = partial(
        naming_batches, clips=shown, targets=targets, clips_per_step=config.clips_per_step, seed=order
    )
    engine = PlainEngine(model.projector, partial(naming_step, model.project), config)
    progress = progress_of("naming", start, config, partial(fingerprint, shown), workers=1)
    told = host.on_point
    curve = run_phase("naming", model.projector, engine, data, config, on_point=told, progress=progress)
    return Trained(replace(start, model=model), curve)
