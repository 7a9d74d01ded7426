"""One answer from inside: curves of its evidence, and the answers to the clip with frames masked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.evaluation.inside import ELSEWHERE, EVERYTHING, Inside, look_inside
from d2vlm_pipeline.evaluation.inside_plot import draw_inside
from d2vlm_pipeline.evaluation.predictor import Predictor
from d2vlm_pipeline.model import generate as generation
from d2vlm_pipeline.model.generate import FoundSpan, Generated
from d2vlm_pipeline.model.spans import select_span
from d2vlm_pipeline.timeline import Interval, ModelRef, Question, TimeBase
from model.tiny import bundle, clock, config, features, sample

FRAMES = 20


@dataclass
class Shelf:
    """One clip."""

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        return features(FRAMES).numpy().astype(np.float16), clock(FRAMES)


def predictor() -> Predictor:
    return Predictor(bundle(), Shelf(), system="tiny", ref=ModelRef(name="tiny", digest="d" * 64))


def question(form: str = "dvc") -> Question:
    return Question.of_sample(sample(form, video="a.mp4"))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that says what it is told, and something else where a frame of the clip is masked.

    `hears` is the frame; the intervals are those of the spans.
    """

    def install(text: str, hears: int, *spans: FoundSpan) -> None:
        def generate(model: object, clips: Any, asked: Any, *_: Any, **__: Any) -> list[Generated]:
            masked = [not bool(clips[one.clip].features_TNC[hears].any()) for one in asked]
            said = [text.replace("enters", "leaves") if is_masked else text for is_masked in masked]
            ids = [bundle().tokenizer.encode(words, add_special_tokens=False) for words in said]
            return [Generated(each, list(spans), finished=True) for each in ids]

        monkeypatch.setattr(generation, "generate", generate)
        monkeypatch.setattr(generation, "read_clips", lambda model, clips: clips)

    return install


def span(first: int, last: int) -> FoundSpan:
    log_odds_T = np.full(FRAMES, -2.0, dtype=np.float32)
    log_odds_T[first : last + 1] = 2.0
    return FoundSpan(first, last, 0.9, 2.0, log_odds_T)


TWO = "<evi><evi></evi><evi>, a red ball enters. <evi>, a red ball enters."


def inside_of_two(scripted: Any, hears: int) -> Inside:
    scripted(TWO, hears, span(2, 4), span(10, 12), span(2, 4), span(10, 12))
    return look_inside(predictor(), question())


def test_every_evi_has_its_curve_and_its_half(scripted: Any) -> None:
    found = inside_of_two(scripted, hears=3)
    assert [curve.half for curve in found.curves] == ["evidence", "evidence", "answer", "answer"]
    assert [(curve.interval.start_s, curve.interval.end_s) for curve in found.curves] == [
        (1.0, 2.5),
        (5.0, 6.5),
    ] * 2
    high = 1 / (1 + np.exp(-2.0))
    assert found.curves[1].belongs_T[10:13] == pytest.approx(high)
    assert found.curves[1].belongs_T[:10] == pytest.approx(1 - high)
    assert {len(curve.belongs_T) for curve in found.curves} == {FRAMES}


@pytest.mark.parametrize(("hears", "rests_on"), [(3, 1), (11, 2)])
def test_masking_shows_which_evidence_the_answer_rests_on(scripted: Any, hears: int, rests_on: int) -> None:
    found = inside_of_two(scripted, hears)
    said = {case.masked: case.says_the_same for case in found.counterfactuals}
    assert said == {
        EVERYTHING: False,
        "evidence 1 of 2": rests_on != 1,
        "evidence 2 of 2": rests_on != 2,
        ELSEWHERE: True,
    }
    runs = {case.masked: case.runs for case in found.counterfactuals}
    assert runs[EVERYTHING] == ((2, 4), (10, 12))
    assert sorted(last - first for first, last in runs[ELSEWHERE]) == [2, 2]
    assert {case.prediction.video for case in found.counterfactuals} == {"a.mp4"}


def test_an_answer_without_evidence_has_nothing_to_mask(scripted: Any) -> None:
    scripted("</evi>No such event happens in the video.", 0)
    found = look_inside(predictor(), question("absent"))
    assert found.curves == () and found.counterfactuals == ()
    assert draw_inside(found).axes[0].texts[0].get_text().startswith("no <evi>")


def test_where_everything_is_evidence_there_are_no_other_frames(scripted: Any) -> None:
    scripted("<evi></evi><evi>, a red ball enters.", 3, span(0, FRAMES - 1), span(0, FRAMES - 1))
    assert [case.masked for case in look_inside(predictor(), question()).counterfactuals] == [EVERYTHING]


def test_a_real_model_selects_its_intervals_from_the_curves_shown() -> None:
    found = look_inside(predictor(), question())
    assert found.curves, "an untrained model names evidence here"
    assert found.prediction.model_dump() == predictor().answer_batch([question()])[0].model_dump()
    for curve in found.curves:
        log_odds_T = np.log(curve.belongs_T) - np.log1p(-curve.belongs_T)
        first, last = select_span(log_odds_T, config().span)
        interval = clock(FRAMES).interval_of(first, last)
        assert (curve.interval.start_s, curve.interval.end_s) == (interval.start_s, interval.end_s)


def test_the_picture_has_a_line_for_each_curve_and_a_row_for_each_mask(scripted: Any) -> None:
    figure = draw_inside(inside_of_two(scripted, hears=3), truth=[Interval(start_s=1.0, end_s=2.0)])
    curves, masks = figure.axes
    assert len(curves.lines) == 4
    assert [label.get_text() for label in masks.get_yticklabels()] == [
        f"masked: {name}" for name in (EVERYTHING, "evidence 1 of 2", "evidence 2 of 2", ELSEWHERE)
    ]
    assert [text.get_text() for text in masks.texts] == [
        *("says something else", "says something else", "says the same", "says the same")
    ]
