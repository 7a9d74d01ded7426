import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.spread_work import backwards
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.artifacts.spreading import spread_here
from d2vlm_pipeline.evaluation import (
    MAIN_METRICS,
    TASK_METRICS,
    EvaluationConfig,
    assemble_metrics,
    score_system,
    score_systems,
)
from d2vlm_pipeline.timeline import TASKS
from evaluation.scoring_records import CONFIG, demo_world, one_hot, places, predict, sample, score, truth

# Lower is better, or a control: not 100 for a perfect system.
LOW_IS_GOOD = ("absent_false_alarm", "unpaired", "cap_sim_shuffled")


def test_every_task_is_scored() -> None:
    assert set(TASK_METRICS) == set(MAIN_METRICS) == set(TASKS)


def test_the_truth_scores_a_hundred_everywhere() -> None:
    samples, _ = demo_world()
    scores = score_system(samples, [truth(s) for s in samples], CONFIG, embed=one_hot)["test-iid"]
    assert set(scores) == set(TASKS)
    for task, metrics in scores.items():
        assert set(MAIN_METRICS[task]) - {"absent_recall"} <= set(metrics)
        for name, found in metrics.items():
            if not name.startswith(LOW_IS_GOOD):
                assert (found["value"], found["low"], found["high"]) == (100, 100, 100), (task, name)
            elif not name.startswith("cap_sim"):
                assert found["value"] == 0
            assert found["unparsed"] == 0


@pytest.mark.parametrize("raw", [None, "", "</evi>", "nothing of the kind"])
def test_saying_nothing_scores_nothing_and_is_counted(raw) -> None:
    samples, _ = demo_world()
    predictions = [] if raw is None else [predict(s, raw) for s in samples]
    scores = score_system(samples, predictions, CONFIG, embed=one_hot)["test-iid"]
    for task, metrics in scores.items():
        for name, found in metrics.items():
            assert found["value"] == 0, (task, name)
            assert found["unparsed"] == found["n"] > 0


def test_a_failed_answer_stays_in_the_denominator() -> None:
    rows = [(s := sample("tvg", key=f"{k}"), places(s, [(2, 6)])) for k in range(4)]
    for lost in (None, predict(rows[0][0], "nonsense")):
        found = score((rows[0][0], lost), *rows[1:])["f1"]
        assert (found["value"], found["n"], found["unparsed"]) == (75, 4, 1)


def test_order_of_samples_and_predictions_does_not_matter() -> None:
    samples, _ = demo_world(6)
    rng = random.Random(3)
    predictions = [
        truth(s) if rng.random() < 0.6 else predict(s, "<evi></evi>(A) In <evi>.", [(1, 9), (2, 8)])
        for s in samples
    ]
    first = assemble_metrics({"sft": score_system(samples, predictions, CONFIG, embed=one_hot)}, {})
    rng.shuffle(samples)
    rng.shuffle(predictions)
    second = assemble_metrics({"sft": score_system(samples, predictions, CONFIG, embed=one_hot)}, {})
    assert first == second


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 7))
def test_one_more_right_answer_never_lowers_a_score(right: list[bool], which: int) -> None:
    samples = [sample("dvc", [(0.0, 4.0, "a red ball enters")], f"{k}") for k in range(8)]

    def value(answers: list[bool]) -> float:
        said = [truth(s) for s, ok in zip(samples, answers, strict=True) if ok]
        return score_system(samples, said, CONFIG, embed=one_hot)["test-iid"]["dvc"]["cap_f1"]["value"]

    better = [ok or k == which for k, ok in enumerate(right)]
    assert value(better) == pytest.approx(100 * sum(better) / 8)
    assert value(better) >= value(right)


def test_systems_scored_together_are_scored_as_each_alone() -> None:
    samples, _ = demo_world(6)
    config = CONFIG.model_copy(update={"caption_similarity": False})
    said = {
        "sft": [truth(s) for k, s in enumerate(samples) if k % 3],
        "prior": [truth(s) for s in samples if s.task == "tvg"],
        "blind": [],
    }
    tasks = {"prior": ["tvg"]}
    for spread in (spread_here, backwards):
        together = score_systems(samples, said, config, spread, tasks)
        assert together == {
            name: score_system(samples, answers, config, tasks=tasks.get(name))
            for name, answers in said.items()
        }


def test_captions_of_all_systems_are_embedded_once_whoever_does_it() -> None:
    samples, _ = demo_world(6)
    said = {
        "sft": [truth(s) for s in samples],
        "fpo": [truth(s) if k % 2 else predict(s, "a green star blinks.") for k, s in enumerate(samples)],
    }
    here, there = (score_systems(samples, said, CONFIG, spread) for spread in (spread_here, backwards))
    assert assemble_metrics(here, {}) == assemble_metrics(there, {})
    for name, answers in said.items():
        alone = score_system(samples, answers, CONFIG)["test-iid"]
        for task, metrics in here[name]["test-iid"].items():
            assert {metric: found["value"] for metric, found in metrics.items()} == pytest.approx(
                {metric: found["value"] for metric, found in alone[task].items()}, abs=1e-3
            )


def test_splits_and_tasks_are_kept_apart() -> None:
    a, b = sample("tvg", key="a"), sample("tvg", key="b", split="val")
    scores = score_system([a, b], [truth(a), places(b, [(20, 21)])], CONFIG)
    assert scores["test-iid"]["tvg"]["f1"]["value"] == 100
    assert scores["val"]["tvg"]["f1"]["value"] == 0


def test_only_the_tasks_asked_for_are_scored() -> None:
    samples, _ = demo_world(2)
    config = EvaluationConfig(resamples=5, tasks=("tvg", "tal"), caption_similarity=False)
    assert set(score_system(samples, [], config)["test-iid"]) == {"tvg", "tal"}
    assert set(score_system(samples, [], config, tasks=("tal", "dvc"))["test-iid"]) == {"tal"}


def test_foreign_predictions_are_refused() -> None:
    with pytest.raises(UserError, match="not among the samples"):
        score_system([sample("tvg", key="a")], [truth(sample("tvg", key="b"))], CONFIG)


def test_metrics_file_is_canonical_and_rounded() -> None:
    rows = [(s := sample("tvg", key=f"{k}"), places(s, [(2, 6)]) if k else None) for k in range(3)]
    scores = score_system([s for s, _ in rows], [p for _, p in rows if p], CONFIG)
    text = assemble_metrics({"sft": scores, "fpo": scores}, {"world": "abc"})
    content = json.loads(text)
    assert list(content) == ["data", "schema", "scores"] and content["schema"] == 1
    assert content["data"] == {"world": "abc"}
    found = content["scores"]["sft"]["test-iid"]["tvg"]["f1"]
    assert set(found) == {"value", "low", "high", "n", "unparsed"}
    assert found["value"] == 66.6667 and found["low"] <= found["value"] <= found["high"]
    assert text == assemble_metrics({"fpo": scores, "sft": scores}, {"world": "abc"})


def test_the_seed_moves_the_interval_only() -> None:
    samples, _ = demo_world(9)
    said = [truth(s) for k, s in enumerate(samples) if k % 3]
    first, again, other = (
        score_system(samples, said, EvaluationConfig(resamples=40, seed=seed), embed=one_hot)["test-iid"]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    for task, metrics in first.items():
        assert all(
            found["value"] == other[task][name]["value"]
            for name, found in metrics.items()
            if not name.startswith("cap_sim_shuffled")
        )


@pytest.mark.parametrize(
    "change", [{"tasks": ("tvg", "nope")}, {"thresholds": (0.5, 0.3)}, {"thresholds": ()}, {"resamples": 0}]
)
def test_config_refuses_what_cannot_be_scored(change) -> None:
    with pytest.raises(ValueError):
        EvaluationConfig(**change)
