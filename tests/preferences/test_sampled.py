"""Hard negatives: a tiny model's own sampled answers, worst first, with the axes in which they are wrong."""

from dataclasses import replace

import numpy as np
import pytest

from d2vlm_pipeline.evaluation.predictor import Predictor
from d2vlm_pipeline.preferences import (
    HardNegativeConfig,
    SampledStatistics,
    check_pair,
    differing_axes,
    sampled_pairs,
)
from d2vlm_pipeline.preferences.sampled import response_of, task_score
from d2vlm_pipeline.timeline import EvidenceSegment, ModelRef, Prediction, Question, TimeBase
from model import tiny
from preferences import samples as s
from preferences.test_mistakes import prediction

FRAMES = 9
FORMS = ("tvg", "dvc", "tem", "rar")


class Shelf:
    """Random features for every clip."""

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        return tiny.features(FRAMES, 0).numpy().astype(np.float16), tiny.clock(FRAMES)


def drawn(samples, draws: int, temperature: float = 1.0, batch: int = 64, seed: int = 0) -> list[Prediction]:
    predictor = Predictor(
        bundle=tiny.bundle(),
        source=Shelf(),
        system="draws",
        ref=ModelRef(name="tiny", digest="d"),
        batch_questions=batch,
        max_new_tokens=24,
        choice="greedy",
        seed=seed,
        temperature=temperature,
    )
    asked = [Question.of_sample(sample) for sample in samples]
    return [answer for draw in range(draws) for answer in replace(predictor, draw=draw).answer_all(asked)]


@pytest.fixture(scope="module")
def asked():
    return [tiny.sample(form, id=f"{form}/{k}") for form in FORMS for k in range(2)]


@pytest.fixture(scope="module")
def answers(asked) -> list[Prediction]:
    return drawn(asked, draws=6)


def test_answers_are_drawn_from_seeds_of_their_own(asked, answers):
    assert [a.raw for a in drawn(asked, draws=6, batch=3)] == [a.raw for a in answers]
    assert [a.raw for a in drawn(asked, draws=6, seed=1)] != [a.raw for a in answers]
    first = [answer.raw for answer in answers if answer.sample_id == "tvg/0"]
    assert len(set(first)) > 3
    assert {answer.decoding["method"] for answer in answers} == {"sampled"}


def test_next_to_no_temperature_is_greedy(asked):
    cold = drawn(asked, draws=1, temperature=1e-4)
    greedy = drawn(asked, draws=1, temperature=0.0)
    assert [answer.raw for answer in cold] == [answer.raw for answer in greedy]
    assert greedy[0].decoding["method"] == "greedy"


def test_a_draw_follows_the_distribution():
    import torch

    from d2vlm_pipeline.model.sampling import sampler

    logits = torch.log(torch.tensor([0.5, 0.3, 0.2, 0.0]))
    adjust = sampler(list(range(4000)), 1.0)
    counts = torch.bincount(adjust(0, logits.expand(4000, -1)).argmax(-1), minlength=4) / 4000
    assert torch.allclose(counts, torch.tensor([0.5, 0.3, 0.2, 0.0]), atol=0.03)
    sharp = sampler(list(range(4000)), 0.5)(0, logits.expand(4000, -1)).argmax(-1)
    assert (sharp == 0).float().mean() == pytest.approx(0.25 / 0.38, abs=0.03)


def test_pairs_of_a_model_are_sound_and_name_the_axes_in_which_it_errs(asked, answers):
    statistics = SampledStatistics()
    config = HardNegativeConfig(draws=6, pairs_per_sample=3, most_score=0.5)
    durations = dict.fromkeys((sample.video for sample in asked), tiny.clock(FRAMES).duration_s)
    pairs = list(sampled_pairs(asked, answers, durations, config, statistics))
    assert pairs, statistics.record()
    by_id = {sample.id: sample for sample in asked}
    for pair in pairs:
        sample = by_id[pair.sample_id]
        assert check_pair(pair, sample, duration_s=durations[sample.video]) == []
        axes = [factor.axis for factor in pair.factors]
        assert set(axes) == differing_axes(pair.chosen, pair.rejected, sample) and len(set(axes)) == len(axes)
        assert {factor.operator for factor in pair.factors} == {"sampled"}
        assert all(factor.magnitude["score"] <= 0.5 for factor in pair.factors)
    record = statistics.record()
    assert record["answers"] == len(answers) and record["pairs"] == len(pairs)
    assert record["pairs"] + sum(record["left_out"].values()) == record["answers"]
    again = list(sampled_pairs(asked, reversed(answers), durations, config))
    assert again == pairs


def test_the_worst_come_first_and_then_what_is_said_most():
    far = prediction(s.TVG, "In <evi>.", (20.0, 23.0))
    near = prediction(s.TVG, "In <evi>.", (3.6, 5.2))
    other = prediction(s.TVG, "Near <evi>.", (20.0, 23.0))
    right = prediction(s.TVG, "In <evi>.", (2.0, 5.0))
    config = HardNegativeConfig(draws=6, pairs_per_sample=9, most_score=0.6)
    statistics = SampledStatistics()
    given = [near, other, far, far, right]
    pairs = list(sampled_pairs([s.TVG], given, {s.TVG.video: s.DURATION_S}, config, statistics))
    assert [pair.rejected for pair in pairs] == [response_of(each) for each in (far, other, near)]
    found = [pair.factors[0].magnitude for pair in pairs]
    assert [(each["draws"], each["rank"]) for each in found] == [(2, 0), (1, 1), (1, 2)]
    assert found[0]["score"] == 0.0 < found[2]["score"] <= 0.6
    assert statistics.record()["left_out"] == {"not wrong enough": 1, "said before": 1}


def test_scores_are_those_of_the_task():
    assert task_score(s.TVG, prediction(s.TVG, "In <evi>.", (2.0, 5.0))) == 1.0
    # IoU 0.5 reaches three of the four thresholds.
    assert task_score(s.TVG, prediction(s.TVG, "In <evi>.", (3.5, 5.0))) == 0.75
    assert task_score(s.ABSENT, prediction(s.ABSENT, "It never happens.")) == 1.0
    assert task_score(s.ABSENT, prediction(s.ABSENT, "In <evi>.", (2.0, 5.0))) == 0.0
    assert task_score(s.choice("mcq"), prediction(s.choice("mcq"), "(A) red.")) == 0.0
    assert task_score(s.RVC, prediction(s.RVC, "A fish.")) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"axis": "text"}, "differs in boundaries, which no factor records"),
        ({"operator": "shift"}, "event 0 is moved, which no record says"),
        ({"magnitude": {}}, "a sampled answer needs its score, from 0 to 1"),
        ({"event_ids": (0,)}, "a sampled answer touches no particular event"),
    ],
)
def test_the_checker_holds_a_sampled_pair_to_what_it_says(changed, problem):
    far = prediction(s.TVG, "The event happens in <evi>.", (20.0, 23.0))
    config = HardNegativeConfig(draws=1)
    (pair,) = sampled_pairs([s.TVG], [far], {s.TVG.video: s.DURATION_S}, config)
    assert check_pair(pair, s.TVG) == []
    (factor,) = pair.factors
    wrong = pair.model_copy(update={"factors": (factor.model_copy(update=changed),)})
    assert any(problem in found for found in check_pair(wrong, s.TVG))
    twice = pair.model_copy(update={"factors": (factor, factor)})
    assert check_pair(twice, s.TVG) == ["two records on one axis"]


def test_an_absent_event_that_the_model_sees_is_a_pair():
    seen = prediction(s.ABSENT, "In <evi>.", (2.0, 5.0))
    config = HardNegativeConfig(draws=1)
    (pair,) = sampled_pairs([s.ABSENT], [seen], {s.ABSENT.video: s.DURATION_S}, config)
    assert pair.chosen.evidence == () and len(pair.rejected.evidence) == 1
    assert "event_set" in {factor.axis for factor in pair.factors}


def test_what_is_no_response_is_counted():
    twice = prediction(s.listing(2), "In <evi>, and <evi>.", *s.SPANS[:2])
    segments = [
        each.model_copy(update={"evidence": None}) if isinstance(each, EvidenceSegment) else each
        for each in twice.segments
    ]
    loose = twice.model_copy(update={"segments": tuple(segments)})
    broken = twice.model_copy(update={"parsed": False, "parse_error": "no end"})
    rvc = prediction(s.RVC, "A fish.")
    statistics = SampledStatistics()
    given = [loose, broken, rvc]
    samples = [s.listing(2), s.RVC]
    durations = {"clip_1.mp4": s.DURATION_S}
    assert list(sampled_pairs(samples, given, durations, HardNegativeConfig(draws=1), statistics)) == []
    assert statistics.record()["left_out"] == {
        "halves of the response do not agree": 1,
        "no metric without a text encoder": 1,
        "not a response": 1,
    }
