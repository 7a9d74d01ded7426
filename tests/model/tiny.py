"""A model of a few thousand weights, clips of random features, and samples of every answer form."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from d2vlm_pipeline.features import (
    ClipFeatures,
    EfficientNetConfig,
    FeatureStore,
    StoredClips,
    write_store,
)
from d2vlm_pipeline.model import D2VLM, Contract, ModelBundle, ModelConfig, build_model
from d2vlm_pipeline.model.config import BackboneConfig, PoolConfig
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.layout import OneTokenFrames
from d2vlm_pipeline.model.packing import Branch, Clip, Prefix
from d2vlm_pipeline.model.tokens import PromptTokens, train_tokenizer
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import (
    FactorRecord,
    GroundedResponse,
    Interval,
    PreferencePair,
    Sample,
    SamplingPolicy,
    TimeBase,
)

TEXTS = [
    "When does a red ball enter?",
    "The event happens in <evi>.",
    "Find a similar event to <evi>. Which colour is the star?",
    "<evi><evi></evi><evi>, a red ball enters. <evi>, a blue star grows.",
    "(A) red (B) blue. No such event happens in the video.",
]

SCALES = {"embed_tokens": 0.1, "_head": 0.4}


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 300)


@cache
def tokens() -> PromptTokens:
    return PromptTokens.of(tokenizer())


def config(**changes: Any) -> ModelConfig:
    backbone = BackboneConfig(
        hidden_size=32, layers=4, heads=4, kv_heads=2, intermediate_size=48, vocab_size=len(tokenizer())
    )
    return ModelConfig(
        **{
            "backbone": backbone,
            "projector": PoolConfig(cell_size=8, dropout=0.0),
            "frame_tokens": 4,
            "frame_channels": 6,
            "semantic_layer": 2,
            "head_size": 16,
        }
        | changes
    )


def model(seed: int = 0, **changes: Any) -> D2VLM:
    """A model whose weights are large enough for every part to matter."""
    built = build_model(config(**changes), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            scale = next((scale for part, scale in SCALES.items() if part in name), 0.25)
            drawn = scale * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1.0 + drawn if "norm" in name.lower() else drawn)
    return built.eval()


def bundle(seed: int = 0) -> ModelBundle:
    return ModelBundle(model(seed), tokenizer(), contract())


def contract() -> Contract:
    return Contract(sampling=SamplingPolicy(), encoder=EfficientNetConfig(), encoder_digest="e" * 64)


def features(frames: int, seed: int = 0) -> Tensor:
    """float [T, 4, 6]."""
    return torch.randn(frames, 4, 6, generator=torch.Generator().manual_seed(1000 * seed + frames))


def clock(frames: int) -> TimeBase:
    """Two frames a second."""
    times_s = tuple(index / 2 for index in range(frames))
    return TimeBase(times_s=times_s, duration_s=frames / 2, fps_src=10.0, policy_digest="p")


def stored_clips(directory: Path, frames: Mapping[str, int]) -> StoredClips:
    """Clips of random features, so many frames each; the same ones always."""
    found = [
        ClipFeatures(video, "p", "e", features(count, seed).numpy().astype(np.float16), clock(count))
        for seed, (video, count) in enumerate(sorted(frames.items()))
    ]
    write_store(directory, found)
    return StoredClips(FeatureStore(directory), {video: video for video in frames}, "p", "e")


def sample(task: str = "tvg", **changes: Any) -> Sample:
    """One sample of a task; all fit into a clip of four seconds."""
    events = [
        {"start_s": 0.5, "end_s": 1.5, "caption": "a red ball enters"},
        {"start_s": 1.0, "end_s": 2.5, "caption": "a blue star grows"},
        {"start_s": 3.0, "end_s": 4.0, "caption": "a red ball grows"},
    ]
    forms: dict[str, dict[str, Any]] = {
        "tvg": {"events": events[:1], "answer": "The event happens in <evi>."},
        "tal": {"events": events[1:], "answer": "The action happens in <evi>, and <evi>."},
        "dvc": {"events": events, "answer": " ".join(f"<evi>, {event['caption']}." for event in events)},
        "tem": {
            "question": "Find a similar event to <evi>.",
            "query_intervals": [[1.0, 2.0]],
            "events": events[2:],
            "answer": "The similar event happens in <evi>.",
        },
        "rar": {
            "question": "Which colour does the star have in <evi> and in <evi>?",
            "query_intervals": [[0.0, 1.0], [2.5, 3.5]],
            "options": ["red", "blue"],
            "answer_index": 1,
            "answer": "(B) blue.",
        },
        "absent": {"task": "tvg", "answer": "No such event happens in the video."},
    }
    record = {
        "id": task,
        "video": "clip.mp4",
        "task": task,
        "source": "test",
        "split": "train",
        "question": "When does a red ball enter?",
    }
    return Sample.model_validate(record | forms[task] | changes)


EVERY_FORM = ("tvg", "tal", "dvc", "tem", "rar", "absent")


def pair(of: Sample) -> PreferencePair:
    """The true response of a sample, and one about another stretch of time with one event less or more."""
    wrong = [Interval(start_s=2.0, end_s=2.5)] * (2 if len(of.events) == 1 else 1)
    segments = [part for index in range(len(wrong)) for part in ("then ", index)]
    return PreferencePair(
        id=f"{of.id}-pair",
        sample_id=of.id,
        chosen=of.response(),
        rejected=GroundedResponse(evidence=tuple(wrong), segments=tuple(segments)),
        factors=(FactorRecord(operator="add", axis="event_set", magnitude={}, event_ids=()),),
        seed=0,
        operator_version="1",
    )


def encoder(labels: SFTConfig | None = None) -> BranchEncoder:
    return BranchEncoder(tokenizer(), tokens(), labels or SFTConfig())


def branches(frames: int, forms: tuple[str, ...] = EVERY_FORM) -> list[Branch]:
    return [encoder().sample(sample(form), clock(frames)) for form in forms]


def prefix(frames: int) -> Prefix:
    return OneTokenFrames(tokens().before_frames).prefix(clock(frames).times_s)


def clip_of(features_TNC: Tensor, of: Sequence[Branch]) -> Clip:
    return Clip(prefix(len(features_TNC)), features_TNC, of)


def clip(frames: int, forms: tuple[str, ...] = EVERY_FORM, seed: int = 0) -> Clip:
    return clip_of(features(frames, seed), branches(frames, forms))


def pair_branch(form: str, frames: int) -> Branch:
    of = sample(form)
    return encoder().pair(of, pair(of), clock(frames))
