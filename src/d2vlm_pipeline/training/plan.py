"""What a configuration will train and what that takes, counted and foretold before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model.config import ModelConfig, PoolConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.training.activations import PassShape, activations
from d2vlm_pipeline.training.blueprint import Blueprint, draw_blueprint
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import deepspeed_settings
from d2vlm_pipeline.training.forecast import AUTOCAST, BFLOAT16, FLOAT32, Memory, forecast, strategies
from d2vlm_pipeline.training.frames import FrameFeatures, frame_features
from d2vlm_pipeline.training.sharding import ShardingConfig

CARDS_GIB = (24, 40, 80)
"""Memory of the GPUs that a forecast is held against."""

# What a chat template writes around a question and its answer.
_TEMPLATE_TOKENS = 32
# Qwen3-VL writes the time of every frame, and a token before and behind it.
_TIMED_TOKENS = 9


class Lengths(StrictModel):
    """How long clips and texts are taken to be.

    ``frames`` of a clip, tokens of a ``question``, tokens of an ``answer`` with its evidence half.
    """

    frames: int
    question: int = 64
    answer: int = 128


@dataclass(frozen=True)
class PhasePlan:
    """A phase: what it counts, the tokens of a pass, and memory by strategy."""

    config: TrainConfig
    counted: Blueprint
    shape: PassShape
    memory: dict[str, Memory]


@dataclass(frozen=True)
class Plan:
    """Plans of the phases, by name."""

    model: ModelConfig
    frame: FrameFeatures
    phases: dict[str, PhasePlan]

    def as_json(self) -> dict[str, Any]:
        """For programs: plain numbers, bytes where they are memory."""
        return {
            "backbone": self.model.backbone.kind,
            "encoder_parameters": self.frame.parameters,
            "phases": {name: _as_json(phase) for name, phase in self.phases.items()},
        }


def make_plan(
    model: ModelConfig,
    encoder: EncoderConfig,
    sampling: SamplingPolicy,
    phases: Mapping[str, TrainConfig],
    lengths: Lengths | None = None,
) -> Plan:
    """Plan the phases of a configuration; clips are taken to be as long as sampling allows.

    Raises:
        UserError: an architecture is not on this machine.
    """
    frame = frame_features(encoder)
    fitted = model.model_copy(update={"frame_tokens": frame.tokens, "frame_channels": frame.channels})
    lengths = lengths or Lengths(frames=sampling.max_frames)
    return Plan(
        fitted,
        frame,
        {name: _plan_phase(fitted, frame, lengths, name, config) for name, config in phases.items()},
    )


def pass_shape(
    model: ModelConfig, frame: FrameFeatures, lengths: Lengths, config: TrainConfig, sides: int
) -> PassShape:
    """Tokens of one pass on one GPU; ``sides`` are the responses to a question."""
    per_frame = 1 if isinstance(model.projector, PoolConfig) else frame.tokens
    return PassShape(
        clips=config.clips_per_pass,
        prefix=_TEMPLATE_TOKENS + lengths.frames * per_frame,
        questions=config.branches_per_clip,
        branch=lengths.question + sides * lengths.answer,
        supervised=sides * lengths.answer,
        frame_bytes=lengths.frames * _bytes_per_frame(model, frame),
        is_checkpointed=config.gradient_checkpointing,
    )


def _plan_phase(
    model: ModelConfig, frame: FrameFeatures, lengths: Lengths, name: str, config: TrainConfig
) -> PhasePlan:
    counted = draw_blueprint(model, config.tuning)
    if name == "fpo" and config.fpo.reference:
        parameters = counted.parameters
        frozen = parameters.frozen + sum(part.total for part in counted.parts.values())
        counted = replace(counted, parameters=replace(parameters, frozen=frozen))
    shape = pass_shape(model, frame, lengths, config, sides=2 if name == "fpo" else 1)
    known = strategies(config.sharding)
    memory = {way: _memory(counted, shape, config, sharding) for way, sharding in known.items()}
    return PhasePlan(config, counted, shape, memory)


def _memory(counted: Blueprint, shape: PassShape, config: TrainConfig, sharding: ShardingConfig) -> Memory:
    precision = FLOAT32
    if config.precision != "float32":
        precision = AUTOCAST if sharding.zero_stage == 0 else BFLOAT16
    kept = activations(counted.decoder, shape, precision.compute)
    return forecast(counted.parameters, kept, sharding, precision, config.accumulation)


def _bytes_per_frame(model: ModelConfig, frame: FrameFeatures) -> int:
    """Features in float32; of a projector that learns, also its norm and its three tensors per cell."""
    numbers = frame.tokens * frame.channels
    if isinstance(model.projector, PoolConfig):
        numbers += frame.tokens * (frame.channels + 3 * model.projector.cell_size)
    return 4 * numbers


def _as_json(phase: PhasePlan) -> dict[str, Any]:
    return {
        "parts": {name: asdict(part) for name, part in phase.counted.parts.items()},
        "parameters": asdict(phase.counted.total),
        "shape": asdict(phase.shape),
        "clips_per_step": phase.config.clips_per_step,
        "accumulation": phase.config.accumulation,
        "strategy": phase.config.sharding.name,
        "memory": {name: _memory_as_json(memory) for name, memory in phase.memory.items()},
        "deepspeed": deepspeed_settings(phase.config),
    }


def _memory_as_json(memory: Memory) -> dict[str, Any]:
    parts = {f"{part}_bytes": round(size) for part, size in asdict(memory).items()}
    held = {f"fits_{card}_gib": fits(memory, card) for card in CARDS_GIB}
    return {**parts, "total_bytes": round(memory.total), **held}


def fits(memory: Memory, card_gib: int) -> bool:
    """Whether a GPU of so many GiB holds it."""
    return memory.total <= card_gib * 2**30
