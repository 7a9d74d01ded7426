"""What promotion asks for beside scores, as the nodes of evaluation measure it on a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.evaluation.slices import SliceConfig
from d2vlm_pipeline.orchestration import LeaveAsIs
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.orchestration.validation.outcome import Check, Outcome
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation import evidence as nodes
from d2vlm_pipeline.pipelines.evaluation.dossier import assemble_dossier
from d2vlm_pipeline.pipelines.evaluation.nodes import answer_questions, score_answers
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.preferences import PreferenceConfig, synthesize_pairs
from d2vlm_pipeline.registry import Dossier
from d2vlm_pipeline.timeline import Prediction, PreferencePair
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.pair_scores import judge_pairs
from pipelines.asked import ANSWERING, EVALUATION, FPO, made_clips, model

PREFERENCES = PreferenceConfig(min_shift_s=0.5)
COMPUTE = ComputeConfig(threads=1)
FACTORS = {"interval", "event", "wording"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return made_clips(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def answers(clips: list[Any]) -> list[Prediction]:
    rest = (ANSWERING, EVALUATION, COMPUTE, RaySettings())
    return list(answer_questions(model(), *clips, *rest, answerer=FPO)[0])  # type: ignore[arg-type]


def judged(clips: list[Any], answering: AnswerConfig = ANSWERING, clips_drawn: int = 2) -> Any:
    config = nodes.PairAccuracyConfig(clips=clips_drawn)
    rest = (PREFERENCES, TrainConfig(), answering, EVALUATION, config, COMPUTE)
    return nodes.judge_preferences(model(), *clips, *rest)


def held_out_pairs(clips: list[Any]) -> list[PreferencePair]:
    asked = [sample for sample in clips[0] if sample.video == "test-iid-0.mp4"]
    return list(synthesize_pairs(asked, {sample.video: 4.0 for sample in asked}, PREFERENCES))


def margins(clips: list[Any], pairs: list[PreferencePair], **changes: Any) -> dict[str, float]:
    torch.set_num_threads(1)
    source = stored_clips(*clips[1:])
    found = judge_pairs(model(), clips[0], pairs, source, TrainConfig(**changes))
    return {pair.id: margin for pair, margin in found}


def test_a_pair_is_judged_alike_alone_and_among_others(clips: list[Any]) -> None:
    pairs = held_out_pairs(clips)
    together, alone = margins(clips, pairs), margins(clips, pairs, branches_per_clip=1)
    assert set(together) == {pair.id for pair in pairs} and len(pairs) > 3
    assert together == pytest.approx(alone, abs=1e-4)


def test_exchanged_sides_have_the_opposite_margin(clips: list[Any]) -> None:
    pairs = held_out_pairs(clips)
    turned = [pair.model_copy(update={"chosen": pair.rejected, "rejected": pair.chosen}) for pair in pairs]
    expected = {name: -margin for name, margin in margins(clips, pairs).items()}
    assert margins(clips, turned) == pytest.approx(expected, abs=1e-4)


def test_pairs_of_held_out_clips_are_judged_by_factor(clips: list[Any]) -> None:
    found = judged(clips)
    assert found["clips"] == 2 and set(found["factors"]) <= FACTORS
    assert sum(factor["n"] for factor in found["factors"].values()) > 5
    assert all(0 <= factor["right"] <= factor["n"] for factor in found["factors"].values())
    assert judged(clips) == found, "the same clips are drawn, the same pairs made"


def test_without_the_candidate_no_pair_is_judged(clips: list[Any]) -> None:
    assert isinstance(judged(clips, AnswerConfig(systems=("sft",))), LeaveAsIs)


def test_a_test_clip_that_was_planted_in_the_training_data_is_found(clips: list[Any]) -> None:
    samples, _, rows, *_ = clips
    train = [
        sample.model_copy(update={"id": f"copy of {sample.id}", "video": "train.mp4", "split": "train"})
        for sample in samples[:2]
    ]
    look = tuple(digest_json(["film", frame]) for frame in range(8))
    scored = [row.model_copy(update={"fingerprint": look}) for row in rows]
    clean = rows[0].model_copy(update={"video": "train.mp4", "digest": "c" * 64})
    rest = (ANSWERING, EVALUATION)
    found = nodes.look_for_test_clips([*samples, *train], [*rows, clean], None, None, *rest)
    assert (found["clips"], found["sources"], found["found"]) == (3, {"preference": 0, "train": 1}, [])

    copy = clean.model_copy(update={"digest": "test-iid-1.mp4"})
    found = nodes.look_for_test_clips([*samples, *train], [*rows, copy], None, [copy], *rest)
    assert found["found"] == [
        "test-iid-1.mp4 is train.mp4 of align",
        "test-iid-1.mp4 is train.mp4 of train",
    ]
    alike = clean.model_copy(update={"fingerprint": look})
    found = nodes.look_for_test_clips([*samples, *train], [*scored, alike], None, None, *rest)
    assert len(found["found"]) == 3 and "looks like train.mp4 of train" in found["found"][0]


def test_what_guards_found_is_told_and_what_people_brought_only_warns(tmp_path: Path) -> None:
    bad = Check(expectation="expect_x", passed=False, seen=("row 3",), mend="drop it")
    good = bad.model_copy(update={"passed": True, "seen": ()})
    for dataset in ("raw_annotations", "samples"):
        Outcome(dataset=dataset, suite="s", suite_digest="d", rows=4, checks=(good, bad)).save(tmp_path)
    paths = [tmp_path / "raw_annotations.json", None, tmp_path / "samples.json"]
    looked_at = [None] * len(nodes.GUARDED)
    brought, samples = nodes.gather_checks(*looked_at, *paths)
    line = "samples: expect_x does not hold: row 3; drop it"
    assert samples == {"dataset": "samples", "checks": 2, "errors": [line], "warnings": []}
    assert brought["errors"] == [] and len(brought["warnings"]) == 1


def test_the_dossier_holds_all_that_was_measured(clips: list[Any], answers: list[Prediction]) -> None:
    samples, store, rows, *_ = clips
    scored = score_answers(samples, rows, store, ANSWERING, EVALUATION, COMPUTE, RaySettings(), answers)
    sums = nodes.measure_answers(samples, rows, ANSWERING, EVALUATION, SliceConfig(), None, answers, None)
    assert set(sums["sums"]) == {"fpo"} and json.loads(json.dumps(sums)) == sums
    leaks = nodes.look_for_test_clips(samples, rows, None, None, ANSWERING, EVALUATION)
    checks = nodes.gather_checks(*[None] * len(nodes.GUARDED))
    measured = (sums, None, judged(clips), leaks, checks)
    record = assemble_dossier(scored, answers, *measured, ANSWERING)
    dossier = Dossier.model_validate(record)
    assert dossier.model == answers[0].model.digest
    for task, metrics in dossier.scores.tasks["test-iid"].items():
        for name, score in metrics.items():
            value = dossier.clip_sums["test-iid"][task][name].value  # type: ignore[index]
            assert value == pytest.approx(score.value, abs=1e-3)
    assert set(dossier.pair_accuracy or {}) <= FACTORS and dossier.contamination is not None
    assert dossier.calibration is None and dossier.cost is None, "no study was run"
    unasked = assemble_dossier(scored, None, *measured, AnswerConfig(systems=("sft",)))
    assert isinstance(unasked, LeaveAsIs)


@pytest.mark.parametrize(("model_digest", "measured"), [("m1", True), ("m2", False)])
def test_studies_count_only_where_they_are_of_the_same_model(
    answers: list[Prediction], model_digest: str, measured: bool
) -> None:
    from d2vlm_pipeline.pipelines.evaluation.dossier import _studied

    def figure(value: float, unit: str = "percent") -> dict[str, Any]:
        return {"title": "t", "value": value, "n": 5, "unit": unit}

    def study(headline: str, figures: dict[str, Any]) -> dict[str, Any]:
        return {"title": "t", "definition": "d", "headline": headline, "clips": 3, "figures": figures}

    record = {
        "schema": 1,
        "system": "fpo",
        "model": "m1",
        "splits": ["test-iid"],
        "confidence": 0.95,
        "resamples": 10,
        "studies": {
            "calibration": study("ece_after", {"ece_before": figure(9.0), "ece_after": figure(4.0)}),
            "cost": study(
                "wall", {"wall": figure(0.5, "seconds"), "memory": figure(700.0, "megabytes")}
            ),
        },
    }
    found = _studied(record, model_digest)
    assert bool(found) is measured
    if measured:
        assert (found["calibration"].after, found["cost"].seconds, found["cost"].peak_mb) == (4.0, 0.5, 700.0)
