"""A phase on its way: which weights train, where and how precisely it computes, what a bad step leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from d2vlm_pipeline.artifacts import UserError, derive_seed
from d2vlm_pipeline.model.adapter import AdapterStage
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.model.checkpointing import checkpointed
from d2vlm_pipeline.model.config import BackboneConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.training.accumulation import Count, StepResult
from d2vlm_pipeline.training.align import align_step
from d2vlm_pipeline.training.config import FullTuning, TrainConfig
from d2vlm_pipeline.training.curve import Curve
from d2vlm_pipeline.training.data import Steps
from d2vlm_pipeline.training.engine import Workers
from d2vlm_pipeline.training.engines import make_engine
from d2vlm_pipeline.training.host import ALONE, Host
from d2vlm_pipeline.training.jobs import progress_of
from d2vlm_pipeline.training.loop import run_phase
from d2vlm_pipeline.training.precision import Compute, Movable
from d2vlm_pipeline.training.replay import Rescue
from d2vlm_pipeline.training.steps import fpo_counts, fpo_step, sft_counts, sft_step
from d2vlm_pipeline.training.tuning import tuned
from d2vlm_pipeline.training.watch import PreferenceWatch

_Batch = TypeVar("_Batch", bound=Movable)


@dataclass(frozen=True)
class Trained:
    """A trained model and its curve."""

    bundle: ModelBundle
    curve: Curve


def step_of(
    phase: str, model: D2VLM, config: TrainConfig, reference: D2VLM | None = None
) -> Callable[[Any], StepResult]:
    """What one step of the phase of that name computes."""
    if phase == "align":
        return partial(align_step, model, word_weight=1.0, match_weight=2.0)
    if phase == "fpo":
        return partial(fpo_step, model, sft=config.sft, fpo=config.fpo, reference=reference)
    return partial(sft_step, model, config=config.sft)


def count_of(phase: str, config: TrainConfig) -> Count[Any] | None:
    """What the terms of that phase's loss are means over; None where its steps are one batch each."""
    if phase == "align":
        return None
    if phase == "fpo":
        return partial(fpo_counts, sft=config.sft)
    return partial(sft_counts, config=config.sft)


def run(
    phase: str,
    bundle: ModelBundle,
    data: Steps[_Batch],
    config: TrainConfig,
    examples: Callable[[], str],
    reference: D2VLM | None = None,
    host: Host = ALONE,
) -> Trained:
    """Train the bundle's model in place; it is a plain model before and behind.

    Args:
        phase: Its name.
        bundle: What trains.
        data: The parts of every step.
        config: Of the phase.
        examples: Digest of what the data are made of; asked for only where checkpoints need it.
        reference: What a preference is measured against, if anything.
        host: Which worker this is.

    Raises:
        UserError: an adapter is to be saved of a backbone that cannot be loaded without it.
    """
    model, compute = bundle.model, Compute.of(config)
    as_adapter = not isinstance(config.tuning, FullTuning) and config.tuning.save == "adapter"
    if as_adapter and isinstance(model.config.backbone, BackboneConfig):
        raise UserError(
            f"{phase}.tuning.save adapter: a {model.config.backbone.kind} has no base to load it with; set "
            "it to merged"
        )
    new_tokens = evidence_token_ids(bundle.tokenizer)
    rescue = None
    # Partitioned weights (ZeRO-3) lie in no one worker: the error alone remains of a step that goes wrong.
    if config.replay_dir is not None and config.sharding.zero_stage < 3:
        folder = Path(config.replay_dir)
        rescue = Rescue(folder, phase, model, reference, config, new_tokens, compute)
    progress = host.following(progress_of(phase, bundle, config, examples, host.workers))
    step = compute.running(step_of(phase, model, config, reference))
    with (
        tuned(
            model, config.tuning, new_tokens, derive_seed(config.seed, phase, "adapters")
        ) as learned,
        compute.holding(model, reference),
        checkpointed(model.layers if config.gradient_checkpointing else []),
    ):
        watch = PreferenceWatch() if phase == "fpo" else None
        engine = make_engine(model, step, config, Workers(host.rank, host.workers, compute.device))
        count, told = count_of(phase, config), host.on_point
        curve = run_phase(phase, model, engine, data, config, watch, count, rescue, told, progress)
    stages = None
    if as_adapter:
        stages = (*(bundle.stages or ()), AdapterStage(learned, compute.is_mixed))
    return Trained(replace(bundle, stages=stages), curve)
