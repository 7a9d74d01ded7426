"""Each study on models whose behaviour is known: what it must find, and what it must not be fooled by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import Pair
from d2vlm_pipeline.evaluation.bootstrap import estimate, estimate_statistics
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.studies import Studies, StudiesConfig, Study
from d2vlm_pipeline.evaluation.studies.abstention import study_abstention
from d2vlm_pipeline.evaluation.studies.calibration import predicted_intervals, study_calibration
from d2vlm_pipeline.evaluation.studies.changes import Masked
from d2vlm_pipeline.evaluation.studies.config import (
    CalibrationConfig,
    FaithfulnessConfig,
    RobustnessConfig,
    TimeConfig,
)
from d2vlm_pipeline.evaluation.studies.cost import TokenCounts
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure
from d2vlm_pipeline.evaluation.studies.faithfulness import evidence_runs, other_runs, study_faithfulness
from d2vlm_pipeline.evaluation.studies.forgetting import study_forgetting
from d2vlm_pipeline.evaluation.studies.judging import says_the_same
from d2vlm_pipeline.evaluation.studies.robustness import study_robustness
from d2vlm_pipeline.evaluation.studies.suite import Material, check_split, drawn_clips, run_studies
from d2vlm_pipeline.evaluation.studies.time_consistency import has_direction, study_time
from d2vlm_pipeline.timeline import PredictedInterval, Prediction, Question, Sample
from evaluation.scoring_records import places, predict, sample
from evaluation.studies.readers import (
    EVENT_S,
    Read,
    Shelf,
    off_evidence,
    off_nothing,
    off_the_rest,
    questions,
    reader,
)

DRAWING = Drawing(resamples=50)
SHELF = Shelf()
ASKED = questions(SHELF)


def answered(ask: Any, samples: Sequence[Sample] = ASKED) -> list[tuple[Sample, Prediction]]:
    return list(zip(samples, ask(SHELF, [Question.of_sample(one) for one in samples]), strict=True))


def value(study: Study, name: str) -> float:
    found = study.figures[name].value
    assert found is not None
    return found


def faithfulness(read: Read, sees_event: bool = True) -> Study:
    ask = reader(ASKED, read, sees_event)
    return study_faithfulness(ask, SHELF, answered(ask), FaithfulnessConfig(), 0, DRAWING)


def test_a_model_that_reads_its_evidence_changes_its_answers_without_it() -> None:
    study = faithfulness(off_evidence)
    assert value(study, "difference") == value(study, "evidence_masked") == 100.0
    assert value(study, "others_masked") == 0.0
    assert study.figures["difference"].n == 3 * SHELF.clips
    assert study.notes[0].startswith(f"24 of {len(ASKED)} answers: 8 name no evidence, 0 so much of it that")


def shortfalls(study: Study) -> list[str]:
    return Studies(
        schema=1, system="fpo", model="", splits=(), confidence=0.95, resamples=9, studies={"x": study}
    ).shortfalls


@pytest.mark.parametrize("read", [off_nothing, off_the_rest])
def test_a_planted_model_that_ignores_its_evidence_is_caught(read: Read) -> None:
    study = faithfulness(read, sees_event=False)
    assert value(study, "difference") <= 0.0
    for line in (short := shortfalls(study)):
        assert line.startswith("Faithfulness: ") and line.endswith("15 are required")
    assert len(short) == 2 and not shortfalls(faithfulness(off_evidence))


def test_one_that_finds_its_evidence_and_then_ignores_it_is_caught_too() -> None:
    study = faithfulness(off_nothing)
    assert value(study, "difference_tvg") == 100.0 and value(study, "difference") > 15.0
    assert value(study, "difference_options") == 0.0
    (line,) = shortfalls(study)
    assert "of questions with options: 0 points, 15 are required" in line


def test_a_model_that_looks_elsewhere_changes_its_answers_when_that_is_masked() -> None:
    study = faithfulness(off_the_rest)
    assert value(study, "difference_gvq") == value(study, "difference_mcq") == -100.0


def test_evidence_is_what_both_halves_name() -> None:
    of = sample("tvg")
    _, timebase = SHELF.clip("clip-0.mp4")
    answer = places(of, [(6.0, 7.0)], [(5.0, 6.5), (2.0, 2.4)])
    assert evidence_runs(answer, timebase) == ((4, 4), (10, 13))


def test_control_frames_are_as_many_runs_of_the_same_lengths_elsewhere() -> None:
    runs = ((3, 5), (10, 10))
    drawn = {other_runs(runs, 14, seed) for seed in range(60)}
    assert len(drawn) > 10
    for others in drawn:
        assert others is not None
        frames = [frame for first, last in others for frame in range(first, last + 1)]
        assert len(set(frames)) == 4 and not set(frames) & {3, 4, 5, 10} and max(frames) < 14
        assert sorted(last - first for first, last in others) == [0, 2]
    assert other_runs(runs, 14, 5) == other_runs(runs, 14, 5)
    assert other_runs(((0, 7),), 14, 0) is None


def test_answers_agree_in_options_or_words_but_not_in_times() -> None:
    choice = sample("gvq", right=1)
    one = predict(choice, "<evi></evi>(B) blue. It happens in <evi>.", [(1, 2), (1, 2)])
    other = predict(choice, "<evi></evi>(B) blue, I think, in <evi>.", [(4, 5), (4, 5)])
    assert says_the_same(choice, one, other)
    assert not says_the_same(choice, one, predict(choice, "</evi>(A) red."))
    moment = sample("tvg")
    assert says_the_same(moment, places(moment, [(1, 2)]), places(moment, [(7, 9)]))
    assert not says_the_same(moment, places(moment, [(1, 2)]), places(moment, [(1, 2), (4, 5)]))
    assert not says_the_same(moment, places(moment, [(1, 2)]), predict(moment, "</evi>It never happens."))


def test_intervals_of_a_model_that_sees_follow_every_change() -> None:
    ask = reader(ASKED, off_evidence)
    study = study_time(ask, SHELF, answered(ask), TimeConfig(), DRAWING)
    for name in ("shift", "pad", "speed", "reverse"):
        assert value(study, f"{name}_iou") == value(study, f"{name}_within_0.5s") == 100.0
    assert study.figures["reverse_directed_iou"].value is None


def test_intervals_of_a_model_that_recites_do_not() -> None:
    ask = reader(ASKED, off_nothing, sees_event=False)
    study = study_time(ask, SHELF, answered(ask), TimeConfig(), DRAWING)
    # 5 to 7 s again, where 2 to 4 s are right, 8 to 10, 2.5 to 3.5, and backwards 5 to 7.
    assert value(study, "shift_iou") == value(study, "pad_iou") == value(study, "speed_iou") == 0.0
    assert value(study, "reverse_iou") == 100.0


def test_direction_is_told_by_words_of_question_and_options() -> None:
    words = TimeConfig().directed
    assert has_direction(sample("tvg", question="When does a ball Enters?"), words)
    assert has_direction(sample("gvq", right=0, options=("grows", "blinks")), words)
    assert not has_direction(sample("tvg", question="When does a centred ball bounce?"), words)


def test_lost_frames_cost_a_model_that_sees_and_not_one_that_recites() -> None:
    settings = RobustnessConfig(shares=(0.25, 0.9))
    sees, recites = reader(ASKED, off_evidence), reader(ASKED, off_nothing, sees_event=False)
    study = study_robustness(sees, SHELF, answered(sees), settings, 0.5, 0, DRAWING)
    assert value(study, "clean") == 100.0
    assert value(study, "dropped_loss@0.9") > value(study, "dropped_loss@0.25") >= 0.0
    curve = study.curves["dropped"]
    assert [point.x for point in curve.points] == [0.0, 25.0, 90.0]
    assert curve.points[2].y == pytest.approx(100.0 - value(study, "dropped_loss@0.9"))
    other = study_robustness(recites, SHELF, answered(recites), settings, 0.5, 0, DRAWING)
    assert value(other, "dropped_loss@0.9") == 0.0


def sure_pairs(rows: Sequence[tuple[float, bool]], task: str = "tvg") -> list[Pair]:
    """One sample a row, with a confidence, whose interval is right or does not meet the truth."""
    made = []
    for number, (confidence, is_right) in enumerate(rows):
        of = sample(task, [EVENT_S], f"{number}", f"clip-{number % 20:02d}.mp4")
        answer = places(of, [EVENT_S if is_right else (0.0, 1.0)])
        sure = PredictedInterval(**answer.evidence[0].interval.model_dump(), confidence=confidence)
        segments = [
            part.model_copy(update={"interval": sure}) if hasattr(part, "interval") else part
            for part in answer.segments
        ]
        made.append(Pair(of, answer.model_copy(update={"evidence": (sure,), "segments": tuple(segments)})))
    return made


def test_a_calibrator_fitted_elsewhere_mends_overconfidence() -> None:
    rng = np.random.default_rng(0)
    chance_R = rng.uniform(0.2, 0.9, 1200)
    rows = [(float(np.sqrt(p)), bool(rng.random() < p)) for p in chance_R]
    fit, judge = sure_pairs(rows[:600]), sure_pairs(rows[600:])
    study = study_calibration(fit, judge, CalibrationConfig(), DRAWING)
    assert value(study, "ece_before") > 12.0 > 3 * value(study, "ece_after") / 2
    assert value(study, "ece_gain") == pytest.approx(
        value(study, "ece_before") - value(study, "ece_after"), abs=1e-3
    )
    assert value(study, "ece_gain") > 4.0
    assert value(study, "ece_after") < 2.5 * value(study, "ece_by_chance")
    assert len(study.curves["before"].points) == 15


def test_intervals_of_absent_events_are_wrong_and_ungrounded_tasks_have_none() -> None:
    absent = sample("tvg", [], "absent")
    choice = sample("mcq", [], "choice", right=0)
    moment = sample("tvg", [(2.0, 6.0), (8.0, 9.0)], "moment")
    found = predicted_intervals(
        [
            Pair(absent, places(absent, [(1.0, 2.0)])),
            Pair(choice, predict(choice, "<evi></evi>(A) red in <evi>.", [(1, 2), (1, 2)])),
            Pair(moment, places(moment, [(8.0, 9.0), (2.0, 4.0)])),
            Pair(sample("tvg", key="unanswered"), None),
        ],
        "answer",
    )
    assert found.iou_R.tolist() == [0.0, 1.0, 0.5]
    assert found.clips == ("absent.mp4", "moment.mp4", "moment.mp4")


def test_risk_by_hand_with_denials_that_abstain_first() -> None:
    made = sure_pairs([(0.9, True), (0.8, False), (0.7, True)])
    denied, missed = sample("tvg", [], "denied"), sample("tvg", [], "missed")
    no = "</evi>No such event happens in the video."
    made += [Pair(denied, predict(denied, no)), Pair(missed, places(missed, [(1, 2)]))]  # sure by 0.9
    study = study_abstention(made, 0.5, DRAWING)
    # In order: two at 0.9 of which one is absent, 0.8 wrong, 0.7 right, the denial last.
    risks = [1 / 2, 1 / 2, 2 / 3, 1 / 2, 3 / 5]
    assert value(study, "aurc") == pytest.approx(100 * np.mean(risks), abs=1e-3)
    assert value(study, "aurc_oracle") == pytest.approx(100 * np.mean([0, 0, 1 / 3, 1 / 2, 3 / 5]), abs=1e-3)
    assert value(study, "coverage") == 80.0 and value(study, "risk") == 50.0
    assert value(study, "absent_abstained") == 50.0
    assert value(study, "risk_at_full_coverage") == study.curves["model"].points[-1].y == 60.0


def test_forgetting_is_paired_by_question() -> None:
    asked = [one for one in ASKED if one.task == "mcq"]
    right = [Pair(one, predict(one, f"</evi>({'ABCD'[one.answer_index or 0]}) x.")) for one in asked]
    wrong = [Pair(one, predict(one, "</evi>(A) red.")) for one in asked]
    study = study_forgetting({"start": right, "sft": wrong, "fpo": [*wrong[:4], *right[4:]]}, DRAWING)
    figures = {name: figure.value for name, figure in study.figures.items()}
    assert figures == {
        "start": 100, "sft": 0, "fpo": 50, "sft_less_start": -100, "fpo_less_start": -50, "fpo_less_sft": 50
    }  # fmt: skip
    assert study.headline == "fpo_less_start"


def test_the_interval_of_a_paired_difference_is_the_bootstrap_of_differences() -> None:
    rng = np.random.default_rng(6)
    more_R = rng.integers(-1, 2, 60).astype(float)
    clips = [f"{k % 20:02d}" for k in range(60)]
    found = mean_figure("", clips, more_R, Drawing(resamples=4000), "points")
    by_clip = more_R.reshape(3, 20).mean(axis=0)
    spread = by_clip.std() / np.sqrt(20)
    assert found.value == pytest.approx(100 * more_R.mean(), abs=1e-3)
    assert found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(100 * 2 * 1.96 * spread, rel=0.1)


def test_a_statistic_of_rows_is_drawn_as_a_sum_of_rows_is() -> None:
    rng = np.random.default_rng(7)
    values_R, clips = rng.random(50), [f"{k % 9}" for k in range(50)]
    sums = Contribution(tuple(clips), np.stack([values_R, np.ones(50)], axis=1), ratio, 0)
    (drawn, other) = estimate_statistics(
        clips, lambda rows: [values_R[rows].mean(), -values_R[rows].mean()], 300, 0.9, seed=3
    )
    assert drawn == pytest.approx(estimate(sums, 300, 0.9, seed=3))
    assert other == pytest.approx((-drawn.value, -drawn.high, -drawn.low))


class Meter:
    """Peak memory that is known."""

    def start(self) -> None:
        self.started = True

    def stop(self) -> int:
        assert self.started
        return 321_000_000


def material(read: Read = off_evidence, asked: Sequence[Sample] = ASKED) -> Material:
    ask = reader(ASKED, read)
    pairs = [Pair(*both) for both in answered(ask, asked)]
    choices = [pair for pair in pairs if pair.sample.task == "mcq"]
    tokens = TokenCounts(frames=lambda video: 24, question=lambda question: 10, answer=lambda answer: 5)
    by_system = dict.fromkeys(("start", "sft", "fpo"), choices)
    return Material(pairs, pairs[:10], by_system, ask, SHELF, tokens, Meter())


def test_all_studies_are_numbers_with_intervals() -> None:
    studies = run_studies(material(), StudiesConfig(cost_clips=3), DRAWING)
    assert list(studies) == list(StudiesConfig().run)
    for name, study in studies.items():
        headline = study.figures[study.headline]
        assert headline.value is not None and headline.low is not None, name
    cost = studies["cost"]
    assert (cost.clips, cost.figures["memory"].value) == (3, 321.0)
    assert value(cost, "frame_tokens") == 24 / 4 and value(cost, "question_tokens") == 10
    assert value(cost, "answer_tokens") == 5 and value(cost, "cpu") >= 0


def test_studies_without_anything_to_study_say_so_and_go_on() -> None:
    studies = run_studies(material(asked=[]), StudiesConfig(), DRAWING)
    for study in studies.values():
        assert study.figures[study.headline].n == 0 and study.figures[study.headline].value is None
        assert not study.curves


def test_only_what_is_configured_runs() -> None:
    assert list(run_studies(material(), StudiesConfig(run=("abstention",)), DRAWING)) == ["abstention"]


def test_clips_of_a_smaller_draw_are_among_those_of_a_greater() -> None:
    asked = answered(reader(ASKED, off_evidence))
    few, many = ({s.video for s, _ in drawn_clips(asked, count, 1)} for count in (3, 5))
    assert len(few) == 3 and few < many and len(many) == 5
    assert {s.video for s, _ in drawn_clips(asked, 3, 2)} != few
    assert drawn_clips(asked, 99, 0) == asked


def test_the_calibration_split_must_not_be_scored() -> None:
    samples = [sample("tvg", split="calib")]
    check_split(samples, StudiesConfig(), ["test-iid"])
    with pytest.raises(UserError, match=r"split is calib, which is scored as well: name a split"):
        check_split(samples, StudiesConfig(), ["test-iid", "calib"])
    check_split([], StudiesConfig(run=("cost",)), ["calib"])


def test_without_anything_to_fit_a_calibrator_on_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    check_split([sample("tvg")], StudiesConfig(), ["test-iid"])
    assert "no sample in calib" in caplog.text
    study = study_calibration([], sure_pairs([(0.9, True), (0.8, False)]), CalibrationConfig(), DRAWING)
    assert study.headline == "ece_before" and value(study, "ece_before") == pytest.approx(45.0)
    assert "ece_after" not in study.figures and list(study.curves) == ["before"]
    assert study.notes[0] == "The calibrator saw 0 intervals of 0 clips: there is none."


def test_changes_that_are_equal_are_one() -> None:
    assert Masked(((1, 2),)) == Masked(((1, 2),)) and hash(Masked(((1, 2),))) == hash(Masked(((1, 2),)))
