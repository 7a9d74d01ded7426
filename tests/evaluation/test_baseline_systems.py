import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import BASELINES, TILING_TASKS, EvaluationConfig, score_system
from d2vlm_pipeline.evaluation.metrics import INTERVAL_RULES
from d2vlm_pipeline.evaluation.priors import best_constant, best_tiling, fit_choice, most_frequent, tiles
from d2vlm_pipeline.timeline import TASKS
from evaluation.scoring_records import CAPTIONS, CONFIG, demo_world, one_hot, sample

THRESHOLDS = CONFIG.thresholds
# A threshold that only the exact interval reaches, so that the search has one best answer.
EXACT = EvaluationConfig(resamples=5, thresholds=(0.5, 1.0))


def scored(name, train, test, durations, config=CONFIG):
    system = BASELINES[name](train, durations, config)
    predictions = system.predict(test, durations)
    return score_system(test, predictions, config, embed=one_hot, tasks=system.tasks)["test-iid"]


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_answer_in_form_and_without_looking_at_the_truth(name: str) -> None:
    train, train_durations = demo_world(10, "train", seed=1)
    test, durations = demo_world(6, seed=2)
    durations |= train_durations
    system = BASELINES[name](train, durations, CONFIG)
    predictions = system.predict(test, durations)
    assert all(p.parsed and p.system == name for p in predictions), [p.parse_error for p in predictions]
    assert {p.task for p in predictions} == set(system.tasks)
    for p in predictions:
        assert p.evidence == p.answer_intervals
        assert all(i.end_s <= durations[p.video] + 1e-9 for i in p.evidence)
    blinded = [
        s.model_copy(update={"events": (), "answer": "x", "answer_index": 0 if s.options else None})
        for s in test
    ]
    assert system.predict(blinded, durations) == predictions
    refit = BASELINES[name](train[::-1], durations, CONFIG)
    assert refit.predict(test, durations) == predictions


def test_which_tasks_each_baseline_answers() -> None:
    train, durations = demo_world(3, "train")
    tasks = {name: set(fit(train, durations, CONFIG).tasks) for name, fit in BASELINES.items()}
    assert tasks["chance"] == tasks["prior"] == set(TASKS)
    assert tasks["tiling"] == set(TILING_TASKS)
    assert tasks["whole_video"] == set(INTERVAL_RULES)


def test_prior_finds_the_constant_interval_in_shares_of_the_clip() -> None:
    lengths = (20.0, 30.0, 50.0)
    train = [sample("tvg", [(0.25 * d, 0.5 * d)], f"t{k}", split="train") for k, d in enumerate(lengths)]
    test = [sample("tvg", [(0.25 * d, 0.5 * d)], f"s{k}") for k, d in enumerate((24.0, 90.0))]
    durations = dict(zip([s.video for s in (*train, *test)], (*lengths, 24.0, 90.0), strict=True))
    found = scored("prior", train, test, durations, EXACT)["tvg"]
    assert (found["f1"]["value"], found["miou"]["value"]) == (100, 100)


def test_prior_finds_the_constant_interval_in_seconds() -> None:
    lengths = (20.0, 30.0, 40.0)
    train = [sample("tvg", [(3.0, 6.0)], f"t{k}", split="train") for k in range(3)]
    test = [sample("tvg", [(3.0, 6.0)], "s0"), sample("tvg", [(1.0, 4.0)], "s1")]
    durations = dict(zip([s.video for s in (*train, *test)], (*lengths, 60.0, 4.0), strict=True))
    constant = best_constant(train, durations, INTERVAL_RULES["tvg"], EXACT.thresholds)
    assert (constant.start, constant.end, constant.is_relative) == (3.0, 6.0, False)
    # On a clip too short for it the interval keeps its length and moves to the end.
    assert scored("prior", train, test, durations, EXACT)["tvg"]["f1"]["value"] == 100


def test_no_grid_interval_beats_the_chosen_one_on_training() -> None:
    train, durations = demo_world(8, "train", seed=3)
    for task in ("tal", "evs", "vhd", "dvc", "tem", "gvq"):
        own = [s for s in train if s.task == task]
        rule = INTERVAL_RULES[task]

        def total(place, own=own, rule=rule):
            stats = [
                rule.stats(
                    place(durations[s.video]),
                    np.array([[i.start_s, i.end_s] for i in s.intervals]),
                    THRESHOLDS,
                )
                for s in own
            ]
            return float(rule.combine(np.append(np.sum(stats, axis=0), len(own))))

        chosen = best_constant(own, durations, rule, THRESHOLDS)
        best = total(lambda d, chosen=chosen: np.array(chosen.spans(d)))
        for a in range(0, 20, 2):
            for b in range(a + 1, 21, 3):
                assert total(lambda d, a=a, b=b: np.array([[a * d / 20, b * d / 20]])) <= best + 1e-9


def test_tiling_finds_the_number_of_segments() -> None:
    events = [(float(k), float(k) + 10.0, CAPTIONS[0]) for k in (0, 10, 20, 30)]
    train = [sample("dvc", events, f"t{k}", split="train") for k in range(3)]
    durations = {s.video: 40.0 for s in train} | {"s0.mp4": 40.0}
    assert best_tiling(train, durations, INTERVAL_RULES["dvc"], THRESHOLDS) == 4
    found = scored("tiling", train, [sample("dvc", events)], durations)["dvc"]
    assert found["cap_f1"]["value"] == 100
    assert found["cap_sim"]["value"] == 100
    assert tiles(2, 5.0) == [(0.0, 2.5), (2.5, 5.0)]


def test_whole_video_names_the_clip() -> None:
    train = [sample("tvg", [(0.0, 3.0)], "t", split="train")]
    test = [sample("tvg", [(0.0, 3.0)])]
    assert scored("whole_video", train, test, {"t.mp4": 9.0, "s0.mp4": 10.0})["tvg"]["miou"]["value"] == 30


def test_chance_is_right_one_time_in_n_and_repeats_itself() -> None:
    test = [sample("mcq", [], f"s{k:04d}", right=k % 4) for k in range(2000)]
    durations = {s.video: 10.0 for s in test}
    config = EvaluationConfig(resamples=5, caption_similarity=False)
    found = scored("chance", test[:4], test, durations, config)["mcq"]["accuracy"]["value"]
    assert found == pytest.approx(25, abs=3)
    other = EvaluationConfig(resamples=5, caption_similarity=False, seed=1)
    assert scored("chance", test[:4], test, durations, config)["mcq"]["accuracy"]["value"] == found
    assert scored("chance", test[:4], test, durations, other)["mcq"]["accuracy"]["value"] != found


def choice(key: str, question: str, right: int, options=("red", "blue", "green", "white")):
    return sample("mcq", [], key, right=right, options=options, question=question)


def test_choice_prior_takes_the_commonest_letter() -> None:
    train = [
        choice(f"{k}", "What is it?", 2, options=tuple(f"{k}{letter}" for letter in "abcd")) for k in range(6)
    ]
    prior = fit_choice(train)
    assert prior.by_letter and prior.choose(choice("x", "What is it?", 0)) == 2


def test_choice_prior_takes_the_commonest_answer_to_such_questions() -> None:
    orders = (("red", "blue"), ("blue", "red"))
    train = []
    for k in range(12):
        options = orders[k % 2]
        colour = "blue" if k % 4 < 2 else "red"
        question = "What colour is it?" if colour == "blue" else "Which shade is it?"
        train.append(choice(f"{k}", question, options.index(colour), options))
    prior = fit_choice(train)
    assert not prior.by_letter
    assert prior.choose(choice("x", "What colour has it?", 0, ("red", "blue"))) == 1
    assert prior.choose(choice("y", "Which shade has it?", 0, ("red", "blue"))) == 0


def test_commonest_text_is_settled_by_the_alphabet() -> None:
    assert most_frequent(["b", "a", "b", "a", "c"]) == "a"
    assert most_frequent([]) == ""


def test_unknown_length_of_a_clip_is_an_error_that_names_it() -> None:
    train = [sample("tvg", key="t", split="train")]
    with pytest.raises(UserError, match=r"t\.mp4"):
        BASELINES["prior"](train, {}, CONFIG)
    system = BASELINES["prior"](train, {"t.mp4": 9.0}, CONFIG)
    with pytest.raises(UserError, match=r"s0\.mp4"):
        system.predict([sample("tvg")], {"t.mp4": 9.0})
