"""The nodes of the studies, on a model of a few thousand weights."""

from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.evaluation.studies import Studies, StudiesConfig
from d2vlm_pipeline.model import save_model
from d2vlm_pipeline.orchestration import LeaveAsIs
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation import studies as nodes
from d2vlm_pipeline.pipelines.evaluation.nodes import answer_questions
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.timeline import Prediction, Question
from model import tiny
from pipelines.asked import ANSWERING, EVALUATION, FPO, made_clips, model


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Samples, store, video table, sampling, encoder: what every node is given."""
    return made_clips(tmp_path_factory.mktemp("store"))


def answers(clips: list[Any]) -> list[Prediction]:
    rest = (ANSWERING, EVALUATION, ComputeConfig(threads=1), RaySettings())
    found, _ = answer_questions(model(), *clips, *rest, answerer=FPO)
    return list(found)


def test_the_record_of_a_real_model_is_whole(clips: list[Any]) -> None:
    config = StudiesConfig()
    rest = (ANSWERING, EVALUATION, config, ComputeConfig(threads=1))
    calibration = list(nodes.answer_calibration(tiny.bundle(), *clips, *rest))
    assert {str(answer.video)[:5] for answer in calibration} == {"calib"} and len(calibration) == 15
    fpo = answers(clips)
    record = nodes.study_model(tiny.bundle(), *clips, *rest, calibration, fpo, fpo, fpo, None)
    studies = Studies.model_validate(record)
    assert tuple(studies.studies) == config.run and studies.system == "fpo"
    assert studies.studies["forgetting"].figures["fpo_less_start"].value == 0.0
    cost = studies.studies["cost"].figures
    # Eight frames and the token before them, read once for a clip's five questions.
    assert cost["frame_tokens"].value == 9 / 5
    assert cost["memory"].value is not None and cost["memory"].value > 50


def test_a_model_of_one_s_own_is_studied_alike(clips: list[Any], tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "own") as folder:
        save_model(model(), folder)
    asked = AnswerConfig(systems=("model",), model=str(tmp_path / "own"), max_new_tokens=10)
    rest = (asked, EVALUATION, StudiesConfig(run=("abstention", "forgetting")), ComputeConfig(threads=1))
    own = [answer.model_copy(update={"system": "model"}) for answer in answers(clips)]
    found = Studies.model_validate(nodes.study_model(None, *clips, *rest, [], None, None, None, own))
    assert found.system == "model" and list(found.studies) == ["abstention", "forgetting"]
    assert found.studies["forgetting"].headline == "model"
    assert list(found.studies["forgetting"].figures) == ["model"]


def test_a_model_that_sees_nothing_names_evidence_in_vain(clips: list[Any]) -> None:
    """A planted model of the real kind: nothing that is masked was ever seen by it."""
    from d2vlm_pipeline.evaluation.predictor import ZeroVideo
    from d2vlm_pipeline.evaluation.studies.estimates import Drawing
    from d2vlm_pipeline.evaluation.studies.faithfulness import study_faithfulness
    from d2vlm_pipeline.pipelines.features.nodes import stored_clips

    given, store, rows, policy, encoder = clips
    source = stored_clips(store, rows, policy, encoder)
    asked = [sample for sample in given if sample.split == "test-iid"]

    def blind(clips: Any, questions: Any) -> list[Prediction]:
        found = nodes._answerer(tiny.bundle(), ZeroVideo(clips), ANSWERING, ComputeConfig(threads=1), "fpo")
        return found.answer_batch(questions)

    answered = list(zip(asked, blind(source, [Question.of_sample(s) for s in asked]), strict=True))
    study = study_faithfulness(blind, source, answered, StudiesConfig().faithfulness, 0, Drawing(10))
    found = study.figures["difference"]
    assert found.n > 0 and found.value == 0.0 < (found.required or 0.0)


def test_what_is_not_studied_is_not_asked(clips: list[Any]) -> None:
    rest = (ANSWERING, EVALUATION, StudiesConfig(run=("abstention",)), ComputeConfig(threads=1))
    assert list(nodes.answer_calibration(tiny.bundle(), *clips, *rest)) == []
    given, *others = clips
    untrained = nodes.answer_untrained(None, None, given, *others, None, *rest)  # type: ignore[arg-type]
    assert list(untrained) == []


def test_without_the_studied_model_there_is_nothing_to_study(clips: list[Any]) -> None:
    asked = AnswerConfig(systems=("sft",))
    rest = (asked, EVALUATION, StudiesConfig(), ComputeConfig(threads=1))
    assert isinstance(nodes.answer_calibration(None, *clips, *rest), LeaveAsIs)
    assert isinstance(nodes.study_model(None, *clips, *rest, *[None] * 5), LeaveAsIs)
