"""Naming and finding: what a pretrained language model is taught of frames before it is asked anything."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, StoredClips, write_store
from d2vlm_pipeline.model import ModelBundle, build_model
from d2vlm_pipeline.model.config import ProjectorConfig
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.training.config import LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.finding import FindingEncoder, captions_of, finding_step
from d2vlm_pipeline.training.naming import named_frames
from d2vlm_pipeline.training.phases import train_finding, train_naming
from d2vlm_pipeline.training.shown import ShownClip, shown_clips
from model import tiny

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
    projector = ProjectorConfig(cell_size=8, dropout=0.0, context_frames=1)
    config = tiny.config(projector=projector, match_layer=-3)
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples(split: str = "train") -> list[Sample]:
    return [tiny.sample("dvc", id=f"{video}-{split}", video=video, split=split) for video in FRAMES]


def config(**changes: object) -> TrainConfig:
    given = {"steps": 30, "clips_per_step": 2, "threads": 1, "log_every": 10}
    return TrainConfig.model_validate(given | {"optim": OptimConfig(learning_rate=1e-2)} | changes)


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
    named = named_frames([clip], bundle.model, bundle.tokenizer)[0]
    at = next(place for place, captions in enumerate(clip.shown) if captions)
    ids = bundle.tokenizer.encode(f" {' and '.join(clip.shown[at])}", add_special_tokens=False)
    table = bundle.model.backbone.get_input_embeddings().weight
    torch.testing.assert_close(named[at], table[ids].mean(0).detach())


@pytest.mark.parametrize("tuning", [{"kind": "full"}, LoraTuning(rank=2, targets="linear")])
def test_finding_is_learned_and_leaves_the_layers_above_alone(clips: StoredClips, tuning: object) -> None:
    begun = start()
    trained = train_finding(begun, samples(), clips, config(tuning=tuning))
    assert trained.curve.points[-1]["finding"] < 0.9 * trained.curve.points[0]["finding"]
    before, after = begun.model, trained.bundle.model
    assert len(after.layers) == len(before.layers)
    last = [dict(model.layers[-1].named_parameters()) for model in (before, after)]
    assert all(torch.equal(last[0][name], weight) for name, weight in last[1].items())
    assert any(
        not torch.equal(one, other)
        for one, other in zip(before.layers[0].parameters(), after.layers[0].parameters(), strict=True)
    )


def test_a_query_finds_the_frames_whose_caption_holds_all_its_words(clips: StoredClips) -> None:
    bundle = start()
    clip = ShownClip(
        torch.zeros(3, 2, 4).numpy(),
        bundle.layout.prefix([0.0, 1.0, 2.0]),
        [["a red ball enters"], ["a red ball enters", "a blue car leaves"], []],
    )
    encoder = FindingEncoder(bundle.tokenizer, bundle.tokens, queries_per_clip=60)
    batch = encoder.batch([clip], captions_of([clip]), random.Random(0))
    found = {tuple(row) for row in batch.query_label_MT.int().tolist()}
    assert found == {(1, 1, 0), (0, 1, 0)}
    assert len(batch.query_label_MT) == 60 and len(batch.token_row_N) == 0


def test_the_shallow_model_finds_what_the_whole_one_does(clips: StoredClips) -> None:
    bundle = start()
    encoder = FindingEncoder(bundle.tokenizer, bundle.tokens, queries_per_clip=4)
    found = shown(clips, bundle)
    batch = encoder.batch(found, captions_of(found), random.Random(0))
    whole = finding_step(bundle.model, batch).loss
    with bundle.model.shallow():
        assert len(bundle.model.layers) < 4
        shallow = finding_step(bundle.model, batch).loss
    assert len(bundle.model.layers) == 4
    torch.testing.assert_close(shallow, whole)


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
    for train in (train_naming, train_finding):
        with pytest.raises(UserError, match="no dvc sample in the training split"):
            train(start(), samples("val"), clips, config())


