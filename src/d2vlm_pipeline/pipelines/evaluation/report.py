"""The report of a run: everything that was scored, as one page that people read."""

from __future__ import annotations

from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.evaluation import EvaluationConfig, default_encoder
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.studies import Studies
from d2vlm_pipeline.orchestration import LeaveAsIs
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import asked_for, held_out
from d2vlm_pipeline.pipelines.evaluation.systems import SHOWN_FIRST, AnswerConfig
from d2vlm_pipeline.timeline import Prediction, Sample
from d2vlm_pipeline.video import DecodeLimits, VideoError, VideoRow

MODELS = ("sft", "fpo", "model")
"""Systems that see the clip; the others on the page are baselines and controls."""


class ReportConfig(StrictModel):
    """What the report shows.

    Attributes:
        system: whose answers are shown one by one; where it is not asked, those of a model that is.
        answers: how many of them, at most; their clips are decoded for the pictures.
        strips: how many are drawn as pictures for the run's page in MLflow.
    """

    system: str = "fpo"
    answers: PositiveInt = 120
    strips: NonNegativeInt = 6


def write_report(
    samples: list[Sample],
    rows: list[VideoRow],
    metrics: dict[str, Any],
    studies: dict[str, Any] | None,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    report: ReportConfig,
    limits: DecodeLimits,
    compute: ComputeConfig,
    *answered: list[Prediction] | dict[str, Any] | None,
) -> bytes | LeaveAsIs:
    """The page as UTF-8; equal inputs give equal bytes. Without a model's answers there is none.

    `answered` are predictions and, behind them, records of how models answered; of whom nobody asked, None.
    """
    answers = dict(asked_for(answering, (said for said in answered if not isinstance(said, dict))))
    records = [AnswerRecord.model_validate(record) for record in answered if isinstance(record, dict)]
    system = next((name for name in (report.system, *SHOWN_FIRST) if name in answers), None)
    if system is None:
        return LeaveAsIs()
    from d2vlm_pipeline.evaluation.page import RunMaterial, judge_answers, render_page, run_page
    from d2vlm_pipeline.evaluation.page.films import films_of

    material = RunMaterial(
        samples=held_out(samples, answering, evaluation),
        predictions=answers,
        durations=durations_of(rows),
        scores=metrics["scores"],
        data=metrics["data"],
        config=evaluation,
        system=system,
        models=MODELS,
        records={record.system: record for record in records if record.system in answers},
        embed=default_encoder() if evaluation.caption_similarity else None,
        studies=Studies.model_validate(studies) if studies and studies["system"] in answers else None,
    )
    judged, chosen = judge_answers(material, report.answers)
    shown = {one.pair.sample.video for one in chosen}
    found = dict(films_of([row for row in rows if row.video in shown], limits, compute.workers))
    films = {video: film for video, film in found.items() if not isinstance(film, VideoError)}
    unfilmed = {video: film.message for video, film in found.items() if isinstance(film, VideoError)}
    return render_page(run_page(material, judged, chosen, films, unfilmed)).encode()


def draw_strips(
    samples: list[Sample],
    rows: list[VideoRow],
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    report: ReportConfig,
    limits: DecodeLimits,
    compute: ComputeConfig,
    *answered: list[Prediction] | None,
) -> dict[str, bytes] | LeaveAsIs:
    """A few answers of the shown system as PNG, by sample; without a model's answers there are none."""
    answers = dict(asked_for(answering, answered))
    system = next((name for name in (report.system, *SHOWN_FIRST) if name in answers), None)
    if system is None:
        return LeaveAsIs()
    from d2vlm_pipeline.evaluation.page.films import films_of
    from d2vlm_pipeline.evaluation.page.strips import chosen_pairs, strip
    from d2vlm_pipeline.evaluation.pairs import match_predictions

    pairs = match_predictions(held_out(samples, answering, evaluation), answers[system])
    chosen = chosen_pairs(pairs, report.strips)
    shown, durations = {pair.sample.video for pair in chosen}, durations_of(rows)
    films = dict(films_of([row for row in rows if row.video in shown], limits, compute.workers))
    return {
        f"{number:02d}-{pair.sample.task}": strip(pair, durations[pair.sample.video], film)
        for number, pair in enumerate(chosen, start=1)
        if not isinstance(film := films[pair.sample.video], VideoError)
    }
