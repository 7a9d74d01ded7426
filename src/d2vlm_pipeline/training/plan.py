"""What a configuration will train and what that takes, counted and foretold before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model.config import ModelConfig, PoolConfig, QFormerConfig, TokensConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.training.activations import PassShape, QFormer, activations, qformer_bytes
from d2vlm_pipeline.training.blueprint import Blueprint, draw_blueprint
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import deepspeed_settings
from d2vlm_pipeline.training.forecast import AUTOCAST, FLOAT32, Memory, forecast, partitioned, strategies
from d2vlm_pipeline.training.frames import FrameFeatures, frame_features
from d2vlm_pipeline.training.sharding import Spread
from d2vlm_pipeline.training.workers import TrainWorkers

CARDS_GIB = (24, 40, 80)
"""Memory of the GPUs that a forecast is held against."""

# What a chat template writes around a question and its answer.
_TEMPLATE_TOKENS = 32


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
    spread: Spread
    counted: Blueprint
    shape: PassShape
    memory: dict[str, Memory]

    @property
    def passes(self) -> int:
        """Of one GPU in a step."""
        clips = self.config.clips_per_step // self.spread.workers
        prefixes = clips * self.config.branches_per_clip // self.shape.questions
        return -(-prefixes // self.shape.clips)


@dataclass(frozen=True)
class Plan:
    """Plans of the phases, by name."""

    model: ModelConfig
    frame: FrameFeatures
    train: TrainWorkers
    phases: dict[str, PhasePlan]

    def as_json(self) -> dict[str, Any]:
        """For programs: plain numbers, bytes where they are memory."""
        return {
            "backbone": self.model.backbone.kind,
            "encoder_parameters": self.frame.parameters,
            "train": self.train.model_dump(mode="json"),
            "phases": {name: _as_json(phase) for name, phase in self.phases.items()},
        }


def make_plan(
    model: ModelConfig,
    encoder: EncoderConfig,
    sampling: SamplingPolicy,
    phases: Mapping[str, TrainConfig],
    train: TrainWorkers,
    lengths: Lengths | None = None,
) -> Plan:
    """Plan the phases of a configuration; clips are taken to be as long as sampling allows.

    Raises:
        UserError: an architecture is not on this machine, or a step cannot be shared out among the workers.
    """
    for name, config in phases.items():
        config.check_portions(name, train.workers)
    frame = frame_features(encoder)
    fitted = model.model_copy(update={"frame_tokens": frame.tokens, "frame_channels": frame.channels})
    lengths = lengths or Lengths(frames=sampling.max_frames)
    planned = {
        name: _plan_phase(fitted, frame, lengths, name, config, train.workers)
        for name, config in phases.items()
    }
    return Plan(fitted, frame, train, planned)


def pass_shape(
    model: ModelConfig, frame: FrameFeatures, lengths: Lengths, config: TrainConfig, workers: int, sides: int
) -> PassShape:
    """Tokens of one pass on one of so many GPUs; ``sides`` are the responses to a question.

    Where the projector reads the question, every question has a prefix of its own.
    """
    per_frame = frame.tokens if isinstance(model.projector, TokensConfig) else 1
    return PassShape(
        clips=config.clips_per_pass(workers),
        prefix=_TEMPLATE_TOKENS + lengths.frames * per_frame,
        questions=1 if model.projector.reads_question else config.branches_per_clip,
        branch=lengths.question + sides * lengths.answer,
        supervised=sides * lengths.answer,
        frame_bytes=lengths.frames * _bytes_per_frame(model, frame, lengths.question, config),
        is_checkpointed=config.gradient_checkpointing,
    )


def _plan_phase(
    model: ModelConfig, frame: FrameFeatures, lengths: Lengths, name: str, config: TrainConfig, workers: int
) -> PhasePlan:
    counted = draw_blueprint(model, config.tuning)
    if name == "fpo" and config.fpo.reference:
        reference = sum(part.total for part in counted.parts.values())
        counted = replace(counted, parameters=replace(counted.parameters, reference=reference))
    shape = pass_shape(model, frame, lengths, config, workers, sides=2 if name == "fpo" else 1)
    spread = Spread(workers, config.sharding)
    memory = {
        way: _memory(counted, shape, config, known, config.accumulation(workers))
        for way, known in strategies(spread).items()
    }
    return PhasePlan(config, spread, counted, shape, memory)


def _memory(
    counted: Blueprint, shape: PassShape, config: TrainConfig, spread: Spread, accumulation: int
) -> Memory:
    precision = FLOAT32 if config.precision == "float32" else AUTOCAST
    if spread.sharding.zero_stage > 0:
        precision = partitioned(precision)
    kept = activations(counted.decoder, shape, precision.compute)
    return forecast(counted.parameters, kept, spread, precision, accumulation)


def _bytes_per_frame(model: ModelConfig, frame: FrameFeatures, question: int, config: TrainConfig) -> int:
    """Features in float32, and what a projector that learns keeps of them."""
    projector, features = model.projector, 4 * frame.tokens * frame.channels
    if isinstance(projector, PoolConfig):
        return 2 * features + 4 * frame.tokens * 3 * projector.cell_size
    if isinstance(projector, QFormerConfig):
        sizes = QFormer(
            layers=projector.layers,
            width=projector.width,
            inner=projector.inner,
            cross_every=projector.cross_every,
            queries=projector.queries,
            question=min(question, projector.max_question_tokens),
            tokens=frame.tokens,
            channels=frame.channels,
        )
        return 2 * features + qformer_bytes(sizes, 4 if config.precision == "float32" else 2)
    return features


def _as_json(phase: PhasePlan) -> dict[str, Any]:
    return {
        "parts": {name: asdict(part) for name, part in phase.counted.parts.items()},
        "parameters": asdict(phase.counted.total),
        "shape": asdict(phase.shape),
        "clips_per_step": phase.config.clips_per_step,
        "passes": phase.passes,
        "strategy": phase.spread.name,
        "memory": {name: _memory_as_json(memory) for name, memory in phase.memory.items()},
        "deepspeed": deepspeed_settings(phase.config, phase.spread.workers)
        if phase.config.sharding.zero_stage > 0
        else None,
    }


def _memory_as_json(memory: Memory) -> dict[str, Any]:
    parts = {f"{part}_bytes": round(size) for part, size in asdict(memory).items()}
    held = {f"fits_{card}_gib": fits(memory, card) for card in CARDS_GIB}
    return {**parts, "total_bytes": round(memory.total), **held}


def fits(memory: Memory, card_gib: int) -> bool:
    """Whether a GPU of so many GiB holds it."""
    return memory.total <= card_gib * 2**30
