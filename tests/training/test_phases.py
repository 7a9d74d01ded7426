"""Phases on a model of a few thousand weights: what they lower, raise, repeat and leave alone."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model import ModelBundle, build_model
from d2vlm_pipeline.model.config import PoolConfig, QFormerConfig
from d2vlm_pipeline.objectives import FPOConfig
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.training.align import caption_clip
from d2vlm_pipeline.training.config import OptimConfig, TrainConfig
from d2vlm_pipeline.training.curve import Curve
from d2vlm_pipeline.training.host import Host
from d2vlm_pipeline.training.phases import train_align, train_fpo, train_sft
from model import tiny

FRAMES = {"a.mp4": 8, "b.mp4": 6}
FORMS = ("tvg", "dvc", "tem", "rar", "absent")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    """Two clips of random features."""
    return tiny.stored_clips(tmp_path_factory.mktemp("store"), FRAMES)


def start(dropout: float = 0.0) -> ModelBundle:
    config = tiny.config(projector=PoolConfig(cell_size=8, dropout=dropout))
    return ModelBundle(build_model(config, seed=0).eval(), tiny.tokenizer(), tiny.contract())


def samples(split: str = "train", **changes: Any) -> list[Sample]:
    return [
        tiny.sample(form, id=f"{video}-{form}-{split}", video=video, split=split, **changes)
        for video in FRAMES
        for form in FORMS
    ]


def pairs(of: Sequence[Sample]) -> list[PreferencePair]:
    return [tiny.pair(sample) for sample in of if sample.events]


def config(steps: int = 30, seed: int = 0, **changes: Any) -> TrainConfig:
    optim = OptimConfig(learning_rate=changes.pop("learning_rate", 1e-2))
    given = {"clips_per_step": 2, "branches_per_clip": 5, "threads": 1, "log_every": 5, "optim": optim}
    return TrainConfig.model_validate({"steps": steps, "seed": seed, **given, **changes})


def weights(bundle: ModelBundle) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in bundle.model.state_dict().items()}


def first_and_last(curve: Curve, name: str) -> tuple[float, float]:
    return curve.points[0][name], curve.points[-1][name]


def test_a_few_clips_are_learned_by_heart(clips: StoredClips) -> None:
    trained = train_sft(start(), samples(), clips, config(steps=40))
    for name, share in (("loss", 0.5), ("token", 0.5), ("grounding", 0.9)):
        before, after = first_and_last(trained.curve, name)
        assert after < share * before, name


def test_a_projector_that_reads_the_question_learns_in_every_phase(clips: StoredClips) -> None:
    """In alignment and training; questions about one clip get a prefix each."""
    qformer = QFormerConfig(layers=2, width=16, heads=2, inner=24, queries=3, dropout=0.0)
    begun = ModelBundle(
        build_model(tiny.config(projector=qformer), seed=0).eval(), tiny.tokenizer(), tiny.contract()
    )
    for train, name in (
        (lambda: train_align(begun, samples(), clips, config(), frames_per_clip=2), "match"),
        (lambda: train_sft(begun, samples(), clips, config()), "loss"),
        (lambda: train_fpo(begun, samples(), pairs(samples()), clips, config()), "loss"),
    ):
        trained = train()
        before, after = first_and_last(trained.curve, name)
        assert after < before
        assert not torch.equal(trained.bundle.model.projector.queries, begun.model.projector.queries)


def test_the_same_seed_gives_the_same_weights(clips: StoredClips) -> None:
    one, again, other = (
        weights(
            train_sft(start(0.2), samples(), clips, config(steps=4, seed=seed, branches_per_clip=2)).bundle
        )
        for seed in (3, 3, 4)
    )
    assert one == again
    assert one != other


def test_checkpointing_learns_the_same(clips: StoredClips) -> None:
    plain, checkpointing = (
        train_sft(start(0.2), samples(), clips, config(steps=4, gradient_checkpointing=on)).curve.points
        for on in (False, True)
    )
    assert checkpointing == [pytest.approx(point, rel=1e-5) for point in plain]


def test_a_curve_is_told_point_by_point_as_it_grows(clips: StoredClips) -> None:
    told: list[Any] = []
    trained = train_sft(start(), samples(), clips, config(steps=12), Host(on_point=told.append))
    assert [point["step"] for point in told] == [5.0, 10.0, 12.0]
    assert told == trained.curve.points


def test_the_model_to_start_from_stays_what_it_was(clips: StoredClips) -> None:
    begun = start()
    before = weights(begun)
    for train in (
        lambda: train_sft(begun, samples(), clips, config(steps=2)),
        lambda: train_fpo(begun, samples(), pairs(samples()), clips, config(steps=2)),
        lambda: train_align(begun, samples(), clips, config(steps=2), frames_per_clip=2),
    ):
        trained = train().bundle
        assert weights(trained) != before == weights(begun)
        assert trained.contract == begun.contract
        assert not trained.model.training


def test_training_looks_at_the_training_split_alone(clips: StoredClips) -> None:
    short = config(steps=3)
    alone = weights(train_sft(start(), samples(), clips, short).bundle)
    beside = weights(
        train_sft(start(), [*samples("val"), *samples(), *samples("test-iid")], clips, short).bundle
    )
    assert beside == alone


@pytest.mark.parametrize("phase", ["sft", "fpo"])
def test_clips_learn_what_does_not_happen_from_questions_of_others(clips: StoredClips, phase: str) -> None:
    """A borrowed question is an example like any other: it moves the weights."""
    event = {"start_s": 0.5, "end_s": 1.5, "caption": "a green crate enters"}
    lent = tiny.sample(
        "tvg", id="lent", video="b.mp4", question="When does a green crate enter?", events=[event]
    )
    given = [*samples(), lent]

    def trained(borrowed_absent: int) -> dict[str, list[float]]:
        settings = config(3, borrowed_absent=borrowed_absent, branches_per_clip=12)
        if phase == "sft":
            return weights(train_sft(start(), given, clips, settings).bundle)
        return weights(train_fpo(start(), given, pairs(given), clips, settings).bundle)

    without, once, again = trained(0), trained(1), trained(1)
    assert once == again
    assert without != once


def test_the_chosen_side_wins_as_preferences_are_learned(clips: StoredClips) -> None:
    of = samples()
    trained = train_fpo(start(), of, pairs(of), clips, config(steps=30, fpo=FPOConfig(beta_grounding=0.5)))
    before, after = first_and_last(trained.curve, "margin")
    assert after > before + 0.5
    before, after = first_and_last(trained.curve, "preference")
    assert after < 0.7 * before
    before, after = first_and_last(trained.curve, "preference_accuracy")
    assert after > before


def test_preferences_raise_the_chosen_side_over_the_rejected_one(clips: StoredClips) -> None:
    of = samples()
    points = train_fpo(start(), of, pairs(of), clips, config(steps=30)).curve.points
    lead = [point["chosen_text"] - point["rejected_text"] for point in (points[0], points[-1])]
    assert lead[1] > lead[0]
    assert points[-1]["chosen_grounding"] > points[0]["chosen_grounding"]


def test_alignment_learns_captions_words_and_matches(clips: StoredClips) -> None:
    trained = train_align(start(), samples(), clips, config(steps=40), frames_per_clip=3)
    for name in ("loss", "caption", "seen_words", "read_words", "match"):
        before, after = first_and_last(trained.curve, name)
        assert after < 0.9 * before, name


def test_nothing_to_train_on_is_said(clips: StoredClips) -> None:
    with pytest.raises(UserError, match="no examples"):
        train_sft(start(), samples("val"), clips, config())
    with pytest.raises(UserError, match="no examples"):
        train_fpo(start(), samples(), [], clips, config())
    with pytest.raises(UserError, match="no dvc sample in the training split"):
        train_align(start(), [tiny.sample("tvg", video="a.mp4")], clips, config(), frames_per_clip=2)


def test_a_pair_about_no_training_sample_is_named(clips: StoredClips) -> None:
    stray = tiny.pair(tiny.sample("tvg", id="elsewhere", video="a.mp4"))
    with pytest.raises(UserError, match="elsewhere-pair belongs to no training sample"):
        train_fpo(start(), samples(), [stray], clips, config())


def test_a_sample_about_a_video_that_was_not_accepted_is_named(clips: StoredClips) -> None:
    with pytest.raises(UserError, match=r"c\.mp4 is not an accepted video"):
        train_sft(start(), [tiny.sample("tvg", video="c.mp4")], clips, config())


def test_captions_of_frames_and_clip() -> None:
    captioned = caption_clip(tiny.sample("dvc"), tiny.features(8).numpy(), tiny.clock(8), start().layout)
    assert captioned.frame_captions == [
        "nothing happens",
        "a red ball enters",
        "a red ball enters and a blue star grows",
        "a blue star grows",
        "a blue star grows",
        "nothing happens",
        "a red ball grows",
        "a red ball grows",
    ]
    assert captioned.clip_caption == "a red ball enters. a blue star grows. a red ball grows."


@pytest.mark.parametrize("caption", ["", "a ball  enters"])
def test_alignment_takes_odd_captions(clips: StoredClips, caption: str) -> None:
    events = [{"start_s": 0.0, "end_s": 2.5, "caption": caption}]
    of = [tiny.sample("dvc", id=v, video=v, events=events, answer=f"<evi>, {caption}.") for v in FRAMES]
    trained = train_align(start(), of, clips, config(steps=2), frames_per_clip=3)
    assert trained.curve.points


def redrawn(of: Sequence[Sample], epochs: int) -> list[PreferencePair]:
    """Pairs whose rejected side starts later with every epoch."""
    found = []
    for pair in pairs(of):
        for epoch in range(epochs):
            moved = [
                each.model_copy(update={"start_s": each.start_s / 2**epoch})
                for each in pair.rejected.evidence
            ]
            rejected = pair.rejected.model_copy(update={"evidence": tuple(moved)})
            found.append(
                pair.model_copy(update={"id": f"{pair.id}/{epoch}", "rejected": rejected, "epoch": epoch})
            )
    return found


def test_each_epoch_trains_on_its_own_set_of_pairs(
    clips: StoredClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sets in turn: two clips a step, two clips in all, so a step is an epoch."""
    from d2vlm_pipeline.training import phases

    seen = {}

    def watch(name: str, bundle: ModelBundle, data: Any, *rest: Any) -> None:
        steps = itertools.islice(data(0), 4)
        seen["labels"] = [round(float(batch.query_label_MT.sum()), 3) for step in steps for batch in step]

    monkeypatch.setattr(phases, "run", watch)
    given = redrawn(samples(), epochs=2)
    train_fpo(start(), samples(), given, clips, config(redraw_pairs=True, branches_per_clip=9))
    first, second, *again = seen["labels"]
    assert first != second and again == [first, second]
    train_fpo(start(), samples(), given, clips, config(branches_per_clip=99))
    assert len(set(seen["labels"])) == 1


def test_nothing_to_redraw_is_said(clips: StoredClips) -> None:
    with pytest.raises(UserError, match=r"set preferences\.epochs to more"):
        train_fpo(start(), samples(), pairs(samples()), clips, config(redraw_pairs=True))
