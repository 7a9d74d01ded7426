"""A ready video-language model through the phases and the predictor, from a folder to answers."""

from pathlib import Path

import pytest
import torch

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.evaluation.predictor import Predictor
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model import ModelBundle, load_model, save_model
from d2vlm_pipeline.timeline import ModelRef, PreferencePair, Question, Sample
from d2vlm_pipeline.training.config import LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.phases import train_align, train_fpo, train_sft
from model import tiny
from model.vlm import ARCHITECTURES, fresh, store, tower_config, write_vlm

COUNTS = {"a.mp4": 8, "b.mp4": 6}
FORMS = ("tvg", "dvc", "tem", "rar", "absent")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def clips(home: Path, tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    return store(tmp_path_factory.mktemp("store"), tower_config(home), COUNTS)


def samples() -> list[Sample]:
    return [tiny.sample(form, id=f"{video}-{form}", video=video) for video in COUNTS for form in FORMS]


def pairs() -> list[PreferencePair]:
    return [tiny.pair(sample) for sample in samples() if sample.events]


def config(**changes: object) -> TrainConfig:
    optim = OptimConfig(learning_rate=3e-3)
    given = {"steps": 8, "clips_per_step": 2, "branches_per_clip": 5, "threads": 1, "log_every": 4}
    return TrainConfig.model_validate(given | {"optim": optim} | changes)


def answers(bundle: ModelBundle, clips: StoredClips) -> list[str]:
    predictor = Predictor(
        bundle, clips, "sft", ModelRef(name="tiny", version="1", digest="d" * 64), max_new_tokens=6
    )
    questions = [Question.of_sample(sample) for sample in samples()]
    found = predictor.answer_batch(questions)
    assert [answer.sample_id for answer in found] == [question.sample_id for question in questions]
    return [answer.raw for answer in found]


def test_sft_then_fpo_then_answers_from_a_directory(home: Path, clips: StoredClips, tmp_path: Path) -> None:
    begun = fresh(home)
    sft = train_sft(begun, samples(), clips, config())
    assert sft.curve.points[-1]["loss"] < sft.curve.points[0]["loss"]
    fpo = train_fpo(sft.bundle, samples(), pairs(), clips, config(steps=4))
    assert {"preference", "chosen_text"} <= fpo.curve.points[-1].keys()
    with atomic_directory(tmp_path / "model") as directory:
        save_model(fpo.bundle, directory)
    said = answers(fpo.bundle, clips)
    assert answers(load_model(tmp_path / "model"), clips) == said
    assert len(set(said)) > 1


def test_adapters_train_with_checkpointed_layers_and_fold_into_a_plain_model(
    home: Path, clips: StoredClips
) -> None:
    begun = fresh(home)
    tuning = LoraTuning(rank=4, dropout=0.0)
    trained = train_sft(begun, samples(), clips, config(tuning=tuning, gradient_checkpointing=True)).bundle
    before, after = begun.model.state_dict(), trained.model.state_dict()
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in moved) and not any("mlp" in name for name in moved)
    assert answers(trained, clips)


def test_alignment_reads_its_frames_as_well(home: Path, clips: StoredClips) -> None:
    trained = train_align(fresh(home), samples(), clips, config(steps=2), frames_per_clip=2)
    assert trained.curve.points
