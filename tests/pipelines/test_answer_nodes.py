"""Who is asked, who is not, and what it takes: the nodes that answer, and the pipeline around them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.answering import AnswerStream
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, build_encoder, write_store
from d2vlm_pipeline.model import ModelBundle, save_model
from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, LeaveAsIs
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines import blind, evaluation
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import (
    answer_questions,
    answer_with_given_model,
    asked_for,
    compare_mistakes,
    guess_answers,
    judge_distance,
    score_answers,
)
from d2vlm_pipeline.pipelines.evaluation.systems import ANSWERERS, SYSTEMS, AnswerConfig
from d2vlm_pipeline.preferences import AuditConfig
from d2vlm_pipeline.timeline import Prediction, Sample, SamplingPolicy
from d2vlm_pipeline.video import VideoRow
from model import tiny

FRAMES = 8
MACHINES = (ComputeConfig(threads=1), RaySettings())
VIDEOS = ("a.mp4", "b.mp4")
BY_NAME = {answerer.system: answerer for answerer in ANSWERERS}


@pytest.fixture
def samples() -> list[Sample]:
    """A benchmark: test split alone."""
    return [tiny.sample("tvg", id=video, video=video, split="test-iid") for video in VIDEOS]


@pytest.fixture
def rows() -> list[VideoRow]:
    return [VideoRow(video=v, path=v, status="ok", digest=v, duration_s=4.0) for v in VIDEOS]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    digest = build_encoder(tiny.contract().encoder).digest
    policy = tiny.contract().sampling.digest
    features = tiny.features(FRAMES, 0).numpy().astype(np.float16)
    clock = tiny.clock(FRAMES).model_copy(update={"policy_digest": policy})
    clips = [ClipFeatures(v, policy, digest, features, clock) for v in VIDEOS]
    (tmp_path / "store").mkdir()
    write_store(tmp_path / "store", clips)
    return FeatureStore(tmp_path / "store")


def model() -> ModelBundle:
    """A model that was trained on features of this encoder."""
    digest = build_encoder(tiny.contract().encoder).digest
    return replace(tiny.bundle(), contract=tiny.contract().model_copy(update={"encoder_digest": digest}))


def answered(
    system: str, samples: list[Sample], rows: list[VideoRow], store: FeatureStore, **given: Any
) -> tuple[Any, Any]:
    contract = tiny.contract()
    shared = {
        "samples": samples,
        "store": store,
        "rows": rows,
        "sampling": contract.sampling,
        "encoder": contract.encoder,
        "answering": AnswerConfig(systems=(system,), max_new_tokens=6),
        "evaluation": EvaluationConfig(tasks=("tvg",)),
        "compute": ComputeConfig(threads=1),
        "ray": RaySettings(),
    }
    return answer_questions(**{"model": model(), **shared, **given}, answerer=BY_NAME[system])


def test_a_system_that_is_asked_answers_with_a_record_beside(
    samples: list[Sample], rows: list[VideoRow], store: FeatureStore
) -> None:
    stream, record = answered("blind", samples, rows, store)
    assert isinstance(stream, AnswerStream)
    predictions = list(stream)
    assert [p.sample_id for p in predictions] == list(VIDEOS)
    assert {p.system for p in predictions} == {"blind"}
    found = AnswerRecord.model_validate(record)
    assert (found.system, found.view) == ("blind", "zero")
    assert {p.model.digest for p in predictions} == {found.model.digest} and found.model.digest


def test_a_system_that_is_not_asked_leaves_what_is_there(
    samples: list[Sample], rows: list[VideoRow], store: FeatureStore
) -> None:
    left = answered("sft", samples, rows, store, answering=AnswerConfig(systems=("fpo",)), model=None)
    assert all(isinstance(each, LeaveAsIs) for each in left)
    guesses = guess_answers(samples, rows, AnswerConfig(systems=("prior",)), EvaluationConfig())
    assert [isinstance(each, LeaveAsIs) for each in guesses] == [True, False, True, True]


@pytest.mark.parametrize(("system", "maker"), [("blind", "blind"), ("sft", "sft"), ("zero_video", "fpo")])
def test_a_system_without_its_model_names_the_mend(
    samples: list[Sample], rows: list[VideoRow], store: FeatureStore, system: str, maker: str
) -> None:
    said = rf"answering\.systems: {system} has no model; `kedro run --pipelines {maker}` makes it"
    with pytest.raises(UserError, match=said):
        answered(system, samples, rows, store, model=None)


def test_features_of_another_sampling_or_encoder_are_refused(
    samples: list[Sample], rows: list[VideoRow], store: FeatureStore
) -> None:
    with pytest.raises(UserError, match=r"trained on frames sampled as .* set `sampling`"):
        answered("sft", samples, rows, store, sampling=SamplingPolicy(fps=9.0))
    other = tiny.contract().encoder.model_copy(update={"grid": 5})
    with pytest.raises(UserError, match=r"trained on features of another encoder .* set `encoder`"):
        answered("sft", samples, rows, store, encoder=other)


def test_a_model_directory_of_one_s_own_answers_a_benchmark_that_has_no_training_split(
    samples: list[Sample],
    rows: list[VideoRow],
    store: FeatureStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with atomic_directory(tmp_path / "mine") as directory:
        save_model(model(), directory)
    contract = tiny.contract()
    answering = AnswerConfig(systems="prior model", model=str(tmp_path / "mine"), max_new_tokens=6)
    scoring = EvaluationConfig(tasks=("tvg",), resamples=2)
    stream, _ = answer_with_given_model(
        samples,
        store,
        rows,
        contract.sampling,
        contract.encoder,
        answering,
        scoring,
        ComputeConfig(threads=1),
        RaySettings(),
        answerer=BY_NAME["model"],
    )
    predictions = list(stream)
    _, prior, *_ = guess_answers(samples, rows, answering, scoring)
    assert prior == [] and "no training sample: prior" in caplog.text
    scores = score_answers(
        samples, rows, store, answering, scoring, *MACHINES, None, prior, None, predictions
    )["scores"]
    assert set(scores) == {"model"} and scores["model"]["test-iid"]["tvg"]["f1"]["n"] == 2
    left = compare_mistakes(samples, None, None, AuditConfig(), answering)
    assert all(isinstance(each, LeaveAsIs) for each in left)
    judge_distance(None, AuditConfig(), answering)
    with pytest.raises(UserError, match="nowhere: no model directory"):
        answer_with_given_model(
            samples,
            store,
            rows,
            contract.sampling,
            contract.encoder,
            AnswerConfig(systems="model", model="nowhere"),
            scoring,
            ComputeConfig(),
            RaySettings(),
            answerer=BY_NAME["model"],
        )


def test_answers_of_another_run_are_not_scored(
    samples: list[Sample], rows: list[VideoRow], store: FeatureStore
) -> None:
    stream, _ = answered("sft", samples, rows, store)
    old: list[Prediction] = list(stream)
    answering = AnswerConfig(systems=("prior",))
    scoring = EvaluationConfig(tasks=("tvg",), resamples=2)
    assert score_answers(samples, rows, store, answering, scoring, *MACHINES, old)["scores"] == {}
    assert dict(asked_for(answering, [old])) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"systems": ["sft", "fqo"]}, "no system 'fqo'; use some of chance prior"),
        ({"systems": []}, "at least 1 item"),
        ({"systems": "model"}, "`model` needs answering.model"),
    ],
)
def test_unknown_systems_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnswerConfig.model_validate(given)


def test_systems_may_be_one_text() -> None:
    assert AnswerConfig.model_validate({"systems": "sft  blind"}).systems == ("sft", "blind")


def test_every_system_has_its_predictions_and_its_record() -> None:
    whole: Pipeline = evaluation.create_pipeline()
    assert whole.all_outputs() >= {f"{answerer.system}_answer_record" for answerer in ANSWERERS}
    (score,) = [node for node in whole.nodes if node.name == "score_answers"]
    assert set(score.inputs) >= {f"{system}_predictions" for system in SYSTEMS}
    assert {"blind_model", "blind_curves"} <= blind.create_pipeline().outputs()
    # What is made on request is no reason to refuse a run; neither is what a benchmark has not.
    absent = {"sft_model", "fpo_model", "blind_model", "preference_pairs"}
    readers = [node for node in whole.nodes if absent & set(node.inputs)]
    assert readers and all(WITHOUT_OPTIONAL in node.tags for node in readers)
