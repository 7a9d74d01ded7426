"""The node that writes the report: whose answers it shows, and what it takes from records."""

from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.evaluation import EvaluationConfig, score_system
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.orchestration import LeaveAsIs
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.report import ReportConfig, draw_strips, write_report
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.timeline import ModelRef, Prediction, SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, build_video_table
from evaluation.scoring_records import places, sample, truth
from video.clips import steady_ms, write_clip

EVALUATION = EvaluationConfig(tasks=("tvg",), resamples=5, caption_similarity=False)


def record(system: str) -> dict[str, Any]:
    return AnswerRecord(
        system=system,
        view="real",
        model=ModelRef(name="m", digest="d"),
        prompt_version="prompt-7",
        compat="ours",
        sampling=SamplingPolicy(),
        sampling_digest="s",
        encoder_digest="e",
        decoding={},
        seed=0,
        batch_questions=1,
        threads=1,
        torch="2",
        transformers="5",
        code="c",
    ).as_json()


def report(folder: Path, systems: tuple[str, ...], shown: str = "fpo") -> bytes | LeaveAsIs:
    asked = [sample("tvg", key="near", video="a.mp4"), sample("tvg", key="far", video="a.mp4")]
    said: dict[str, list[Prediction]] = {
        name: [
            one.model_copy(update={"system": name}) for one in (truth(asked[0]), places(asked[1], [(8, 9)]))
        ]
        for name in systems
    }
    rows = list(build_video_table(folder, ["a.mp4"], DecodeLimits(), SamplingPolicy(), 1))
    scores = {name: score_system(asked, answers, EVALUATION) for name, answers in said.items()}
    return write_report(
        asked,
        rows,
        {"scores": scores, "data": {"samples": canonical_json([])}},
        None,
        AnswerConfig(),
        EVALUATION,
        ReportConfig(system=shown, answers=5),
        DecodeLimits(),
        ComputeConfig(workers=1),
        None,
        *said.values(),
        record("fpo"),
        None,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    write_clip(path / "a.mp4", steady_ms(100))
    return path


def test_a_report_shows_answers_with_frames_and_how_they_were_made(folder: Path) -> None:
    page = report(folder, ("prior", "fpo"))
    assert isinstance(page, bytes) and page == report(folder, ("prior", "fpo"))
    text = page.decode()
    assert "What fpo answers" in text and "data:image/webp;base64," in text
    assert "prompt: prompt-7" in text and "No studies of fpo" in text


def test_another_model_stands_in_for_one_that_was_not_asked(folder: Path) -> None:
    page = report(folder, ("prior", "sft"))
    assert isinstance(page, bytes) and "What sft answers" in page.decode()
    assert "prompt-7" not in page.decode(), "a record of another run"


def test_without_a_model_there_is_no_report(folder: Path) -> None:
    assert isinstance(report(folder, ("prior",)), LeaveAsIs)


def strips(folder: Path, systems: tuple[str, ...], **settings: Any) -> dict[str, bytes] | LeaveAsIs:
    asked = [sample("tvg", key=key, video="a.mp4") for key in ("far", "near")]
    said = [
        [truth(one).model_copy(update={"system": name}) for one in asked] if name in systems else None
        for name in ("fpo", "prior")
    ]
    rows = list(build_video_table(folder, ["a.mp4"], DecodeLimits(), SamplingPolicy(), 1))
    config = ReportConfig(**settings)
    return draw_strips(
        asked, rows, AnswerConfig(), EVALUATION, config, DecodeLimits(), ComputeConfig(), *said
    )


def test_a_few_answers_of_a_model_are_drawn(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", steady_ms(100))
    drawn = strips(tmp_path, ("fpo", "prior"))
    assert isinstance(drawn, dict) and list(drawn) == ["01-tvg", "02-tvg"]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())
    one = strips(tmp_path, ("fpo",), strips=1)
    assert isinstance(one, dict) and one["01-tvg"] == drawn["01-tvg"]


def test_without_a_model_s_answers_nothing_is_drawn(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", steady_ms(100))
    assert isinstance(strips(tmp_path, ("prior",)), LeaveAsIs)
