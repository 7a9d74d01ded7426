"""Naming: what a pretrained language model is given of frames before it is asked anything."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import ClipFeatures, EfficientNetConfig, FeatureStore, StoredClips, write_store
from d2vlm_pipeline.model import ModelBundle, build_model, load_model, save_half
from d2vlm_pipeline.model.config import CausalLMConfig, GGUFConfig, ModelConfig, PoolConfig
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import LoopConfig, LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.naming import WordSpace
from d2vlm_pipeline.training.phases import train_sft
from d2vlm_pipeline.training.shown import ShownClip, captions_of, shown_clips
from d2vlm_pipeline.training.warm_up import train_naming
from model import tiny
from model.tiny_gguf import write_gguf

FRAMES = {"a.mp4": 8, "b.mp4": 6}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    directory = tmp_path_factory.mktemp("store")
    write_store(
        directory,
        [
            ClipFeatures(
                video, "p", "e", tiny.features(frames, seed).numpy().astype(np.float16), tiny.clock(frames)
            )
            for seed, (video, frames) in enumerate(sorted(FRAMES.items()))
        ],
    )
    return StoredClips(FeatureStore(directory), {video: video for video in FRAMES}, "p", "e")


def start() -> ModelBundle:
    projector = PoolConfig(cell_size=8, dropout=0.0, context_frames=1)
    config = tiny.config(projector=projector)
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples(split: str = "train") -> list[Sample]:
    return [tiny.sample("dvc", id=f"{video}-{split}", video=video, split=split) for video in FRAMES]


def config(**changes: object) -> LoopConfig:
    given = {"steps": 30, "clips_per_step": 2, "threads": 1, "log_every": 10}
    return LoopConfig.model_validate(given | {"optim": OptimConfig(learning_rate=1e-2)} | changes)


def shown(clips: StoredClips, bundle: ModelBundle) -> Sequence[ShownClip]:
    return shown_clips(samples(), clips, bundle.layout)


def changed(before: ModelBundle, after: ModelBundle) -> set[str]:
    """First parts of the names of the weights that differ."""
    known = before.model.state_dict()
    moved = after.model.state_dict().items()
    return {name.split(".")[0] for name, tensor in moved if not torch.equal(tensor, known[name])}


def test_naming_trains_the_projector_alone(clips: StoredClips) -> None:
    begun = start()
    trained = train_naming(begun, samples(), clips, config())
    first, last = trained.curve.points[0], trained.curve.points[-1]
    assert last["unexplained"] < 0.7 * first["unexplained"]
    assert changed(begun, trained.bundle) == {"projector"}


def test_a_frame_is_named_by_the_mean_of_its_words(clips: StoredClips) -> None:
    bundle = start()
    clip = shown(clips, bundle)[0]
    named = WordSpace.of_model(bundle.model, bundle.tokenizer).frames(clip)
    at = next(place for place, captions in enumerate(clip.shown) if len(captions) == 2)
    ids = bundle.tokenizer.encode(f" {' and '.join(clip.shown[at])}", add_special_tokens=False)
    table = bundle.model.backbone.get_input_embeddings().weight.detach()
    torch.testing.assert_close(named[at], table[ids].mean(0))


def test_a_frames_token_reads_its_neighbours_and_padding_lends_nothing() -> None:
    model = start().model
    features = tiny.features(6, 0)[None]
    moved = features.clone()
    moved[:, 2] += 1.0
    with torch.no_grad():
        apart = (model.project(features) - model.project(moved)).abs().amax((0, 2, 3))
        padded = torch.cat([features, torch.zeros_like(features)], dim=1)
        torch.testing.assert_close(model.project(padded)[:, :6], model.project(features))
    assert (apart > 0).tolist() == [False, True, True, True, False, False]


def test_without_dense_captions_there_is_nothing_to_learn_from(clips: StoredClips) -> None:
    with pytest.raises(UserError, match="no dvc sample in the training split"):
        train_naming(start(), samples("val"), clips, config())


def without_words(sample: Sample, kept: int) -> Sample:
    """The sample with captions for its first events alone; the rest have none, or none that says anything."""
    events = [
        event.model_copy(update={} if place < kept else {"caption": "" if place % 2 else "on the"})
        for place, event in enumerate(sample.events)
    ]
    return sample.model_copy(update={"events": tuple(events)})


def test_events_without_words_show_nothing(clips: StoredClips) -> None:
    bundle, given = start(), [without_words(sample, 1) for sample in samples()]
    (caption,) = {event.caption for sample in given for event in sample.events[:1]}
    found = shown_clips(given, clips, bundle.layout)
    assert captions_of(found) == [caption]
    assert not any("" in captions for clip in found for captions in clip.shown)
    with pytest.raises(UserError, match="has a caption with words; give it one"):
        shown_clips([without_words(sample, 0) for sample in samples()], clips, bundle.layout)


@pytest.mark.parametrize(
    "unread",
    [{"tuning": {"kind": "full"}}, {"micro_batch": 1}, {"device": "cuda"}, {"gradient_checkpointing": True}],
    ids=str,
)
def test_what_such_a_phase_would_not_read_is_no_setting_of_it(unread: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        LoopConfig.model_validate(unread)


def test_a_backbone_of_a_gguf_file_is_named_saved_and_tuned(tmp_path: Path) -> None:
    file, _ = write_gguf(tmp_path)
    backbone = CausalLMConfig(gguf=GGUFConfig(file=str(file), cache=str(tmp_path / "cache")))
    projector = PoolConfig(cell_size=8, context_frames=1)
    model = ModelConfig(backbone=backbone, projector=projector, semantic_layer=0, match_layer=-3)
    begun = fresh_model(model, [], SamplingPolicy(), EfficientNetConfig(), seed=0)
    features = torch.randn(8, 9, 471, generator=torch.Generator().manual_seed(0)).numpy().astype(np.float16)
    write_store(tmp_path / "store", [ClipFeatures("a.mp4", "p", "e", features, tiny.clock(8))])
    clips = StoredClips(FeatureStore(tmp_path / "store"), {"a.mp4": "a.mp4"}, "p", "e")
    given = [tiny.sample("dvc", video="a.mp4")]
    named = train_naming(begun, given, clips, config(steps=4)).bundle
    with atomic_directory(tmp_path / "aligned") as folder:
        save_half(named, folder)
    tuning = LoraTuning(rank=2, targets="linear")
    phase = TrainConfig(steps=4, clips_per_step=1, threads=1, log_every=4, tuning=tuning)
    trained = train_sft(load_model(tmp_path / "aligned"), given, clips, phase)
    assert np.isfinite(trained.curve.points[-1]["loss"])
    assert "backbone" in changed(named, trained.bundle)
