"""Naming and finding: what a pretrained language model is taught of frames before it is asked anything."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, StoredClips, write_store
from d2vlm_pipeline.model import ModelBundle, build_model
from d2vlm_pipeline.model.config import PoolConfig
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.packing import Clip, pack
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.training.config import FindingConfig, LoopConfig, OptimConfig
from d2vlm_pipeline.training.finding import ReadClip, read_clips, standardise
from d2vlm_pipeline.training.naming import WordSpace
from d2vlm_pipeline.training.shown import ShownClip, captions_of, shown_clips
from d2vlm_pipeline.training.warm_up import train_finding, train_naming
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
    projector = PoolConfig(cell_size=8, dropout=0.0, context_frames=1)
    config = tiny.config(projector=projector, match_layer=-3)
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples(split: str = "train") -> list[Sample]:
    return [tiny.sample("dvc", id=f"{video}-{split}", video=video, split=split) for video in FRAMES]


def config(**changes: object) -> FindingConfig:
    given = {"steps": 30, "clips_per_step": 2, "threads": 1, "log_every": 10}
    return FindingConfig.model_validate(given | {"optim": OptimConfig(learning_rate=1e-2)} | changes)


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


def test_in_the_space_for_matching_a_point_meets_itself_with_four_logits(clips: StoredClips) -> None:
    bundle = start()
    found = shown(clips, bundle)
    space = WordSpace.of_model(bundle.model, bundle.tokenizer).matching(found)
    frames = torch.cat([space.frames(clip) for clip in found])
    torch.testing.assert_close(frames.mean(0), torch.zeros(32), atol=1e-5, rtol=0.0)
    own = frames.square().sum(-1).mean() / 32**0.5
    assert float(own) == pytest.approx(4.0, rel=1e-4)


def test_finding_trains_the_two_heads_alone(clips: StoredClips) -> None:
    begun = start()
    trained = train_finding(begun, samples(), clips, config(steps=60))
    first, last = trained.curve.points[0], trained.curve.points[-1]
    for name in ("finding", "seen", "read"):
        assert last[name] < 0.9 * first[name], name
    assert changed(begun, trained.bundle) == {"query_head", "key_head"}
    assert len(trained.bundle.model.layers) == 4


def read(clips: StoredClips, bundle: ModelBundle, queries: int, seed: int = 0) -> list[ReadClip]:
    found = shown(clips, bundle)
    space = WordSpace.of_model(bundle.model, bundle.tokenizer).matching(found)
    return read_clips(bundle.model, bundle.tokens, found, space, queries, seed)


def test_a_query_finds_the_frames_whose_caption_holds_all_its_words() -> None:
    bundle = start()
    shown = [["a red ball enters"], ["a red ball enters", "a blue car leaves"], []]
    clip = ShownClip(tiny.features(3).numpy(), bundle.layout.prefix([0.0, 1.0, 2.0]), shown)
    space = WordSpace.of_model(bundle.model, bundle.tokenizer)
    (found,) = read_clips(bundle.model, bundle.tokens, [clip], space, 60, seed=0)
    assert {tuple(row) for row in found.label_MT.int().tolist()} == {(1, 1, 0), (0, 1, 0)}
    assert found.read_MD.shape == found.queries_MD.shape == (60, 32)


def test_what_is_read_depends_on_the_seed_alone(clips: StoredClips) -> None:
    bundle = start()
    one, again, other = (read(clips, bundle, 6, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a.queries_MD, b.queries_MD) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a.queries_MD, b.queries_MD) for a, b in zip(one, other, strict=True))


def test_the_shallow_model_finds_what_the_whole_one_does(clips: StoredClips) -> None:
    bundle = start()
    bundle_of = BranchEncoder(bundle.tokenizer, bundle.tokens, SFTConfig())
    prefix = bundle.layout.prefix(tiny.clock(8).times_s)
    batch = pack([Clip(prefix, tiny.features(8), [bundle_of.sample(tiny.sample("dvc"), tiny.clock(8))])])
    with torch.no_grad():
        whole, _ = bundle.model(batch)
        with bundle.model.shallow():
            assert len(bundle.model.layers) == 3
            shallow, _ = bundle.model(batch)
    assert len(bundle.model.layers) == 4
    torch.testing.assert_close(shallow.similarity_MT, whole.similarity_MT)


def test_a_standardised_head_sees_every_channel_alike() -> None:
    head = start().model.query_head
    states = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    states = states * torch.linspace(0.01, 5.0, 32) + 10.0 * torch.arange(32)
    standardise(head, states)
    with torch.no_grad():
        normed = head.get_submodule("0")(states)
    torch.testing.assert_close(normed.mean(0), torch.zeros(32), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(normed.std(0), torch.ones(32), atol=0.05, rtol=0.0)


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
    space = WordSpace.of_model(bundle.model, bundle.tokenizer)
    for clip in read_clips(bundle.model, bundle.tokens, found, space, 20, seed=0):
        assert torch.isfinite(clip.read_MD).all()
    with pytest.raises(UserError, match="has a caption with words; give it one"):
        shown_clips([without_words(sample, 0) for sample in samples()], clips, bundle.layout)



@pytest.mark.parametrize("phase", [LoopConfig, FindingConfig])
@pytest.mark.parametrize(
    "unread",
    [{"tuning": {"kind": "full"}}, {"micro_batch": 1}, {"device": "cuda"}, {"gradient_checkpointing": True}],
    ids=str,
)
def test_what_such_a_phase_would_not_read_is_no_setting_of_it(
    phase: type[LoopConfig], unread: dict[str, object]
) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        phase.model_validate(unread)
