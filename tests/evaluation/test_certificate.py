"""The certificate: it passes a fair world, sees each broken promise, judges nothing on too small a sample."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.certificate import Certificate, certify_world, chi_square_p, most_alike
from d2vlm_pipeline.evaluation.probe import probe_features, ridge_accuracy
from d2vlm_pipeline.timeline import Sample, SamplingPolicy, TimeBase
from d2vlm_pipeline.video.world import ClipPlan, SplitSizes, WorldConfig, plan_world, world_samples
from d2vlm_pipeline.video.world.certificate import is_test_only
from d2vlm_pipeline.video.world.motion import pose_at
from d2vlm_pipeline.video.world.vocabulary import CLASSES, COLOURS

SAMPLING = SamplingPolicy()
COLOUR_OPTIONS = ("red", "green", "blue", "white")

SHAPE = (
    "median share",
    "sampled frames",
    "near-miss",
    "repeat an event",
    "at the same time",
    "within another",
)
QUESTIONS = ("something absent", "outside the test splits", "kept for test splits")
SHORTCUTS = (
    "F1 of prior",
    "F1 of whole_video",
    "GVQ accuracy",
    "MCQ accuracy",
    "places of",
    "right answers given",
    "most like the others",
)
FEATURES = ("object class", "object colour", "3×3 cell")
PROMISES = (*SHAPE, *QUESTIONS, *SHORTCUTS, *FEATURES)


@dataclass
class Painted:
    """Stored features in which the cell of every visible object says what it is; or which say nothing."""

    plans: dict[str, ClipPlan]
    is_blank: bool = False

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        plan = self.plans[video]
        times_s = tuple(SAMPLING.sample_times(plan.duration_s))
        rng = np.random.default_rng(plan.seed)
        features_TNC = rng.normal(0.0, 0.1, (len(times_s), 9, 14)).astype(np.float16)
        for index, time_s in enumerate(times_s if not self.is_blank else ()):
            for event in plan.events:
                pose = pose_at(event, time_s)
                if pose is not None and 0 <= pose.x < 1:
                    said_C = features_TNC[index, 3 * int(3 * pose.y) + int(3 * pose.x)]
                    said_C[CLASSES.index(event.triple.object_class)] = 1.0
                    said_C[6 + COLOURS.index(event.triple.colour)] = 1.0
        timebase = TimeBase(
            times_s=times_s, duration_s=plan.duration_s, fps_src=plan.fps, policy_digest=SAMPLING.digest
        )
        return features_TNC, timebase


def certify(
    config: WorldConfig,
    samples: list[Sample] | None = None,
    sampling: SamplingPolicy = SAMPLING,
    is_blank: bool | None = False,
) -> Certificate:
    plans = {plan.video: plan for plan in plan_world(config)}
    samples = world_samples(list(plans.values()), config) if samples is None else samples
    clips = None if is_blank is None else Painted(plans, is_blank)
    durations = {video: plan.duration_s for video, plan in plans.items()}
    return certify_world(config, samples, durations, clips, EvaluationConfig(), sampling)


def promise(names: list[str], part: str) -> str:
    """The one name that holds these words."""
    (name,) = [name for name in names if part in name]
    return name


@pytest.fixture(scope="module")
def fair() -> Certificate:
    return certify(WorldConfig())


@pytest.fixture(scope="module")
def small() -> Certificate:
    return certify(WorldConfig(splits=SplitSizes(train=12, val=2, calib=2, test_iid=4), max_duration_s=20.0))


def test_every_promise_of_the_default_world_is_judged(fair: Certificate) -> None:
    assert fair["world"] == WorldConfig().digest
    assert fair["skipped"] == []
    names = [check["name"] for check in fair["checks"]]
    assert sorted(promise(names, part) for part in PROMISES) == sorted(names)


@pytest.mark.parametrize("part", PROMISES)
def test_the_default_world_keeps_its_promise(part: str, fair: Certificate) -> None:
    (check,) = [check for check in fair["checks"] if part in check["name"]]
    assert check["passed"], check


def test_a_certificate_is_a_record_that_can_be_written(fair: Certificate) -> None:
    assert json.loads(json.dumps(fair, allow_nan=False)) == fair
    for check in fair["checks"]:
        assert set(check) == {"name", "value", "limit", "passed"}


def test_what_a_small_world_cannot_show_is_listed_with_the_reason(small: Certificate) -> None:
    assert all(check["passed"] for check in small["checks"])
    reasons = {row["name"]: row["reason"] for row in small["skipped"]}
    assert reasons[promise(list(reasons), "repeat an event")] == "20 clips, 100 needed"
    assert reasons[promise(list(reasons), "F1 of prior")].endswith("questions, 100 needed")
    # What holds for every single event or question is judged at any size.
    judged = [check["name"] for check in small["checks"]]
    assert all(promise(judged, part) for part in ("sampled frames", "near-miss", "outside the test splits"))


def test_no_promise_is_dropped_silently(fair: Certificate, small: Certificate) -> None:
    def parts(certificate: Certificate) -> set[str]:
        names = [row["name"] for row in (*certificate["checks"], *certificate["skipped"])]
        assert len(set(names)) == len(names)
        return set(names)

    assert parts(fair) == parts(small)


def test_without_features_the_probe_is_skipped() -> None:
    config = WorldConfig(splits=SplitSizes(train=2, val=1, calib=1, test_iid=1))
    reasons = {row["name"]: row["reason"] for row in certify(config, is_blank=None)["skipped"]}
    assert [reasons[promise(list(reasons), part)] for part in FEATURES] == ["no stored features"] * 3


def spoiled(sample: Sample) -> Sample | None:
    """The same world asked unfairly: nothing absent, the right option first, colours red, wordings mixed."""
    is_test, is_fresh = sample.split == "test-iid", is_test_only(sample.question)
    if (sample.task in ("tvg", "tal") and not sample.events) or (is_test and is_fresh):
        return None
    changes: dict[str, Any] = {}
    if sample.split == "val" and sample.task == "tvg":
        changes["question"] = "Find the event: a red ball enters. It may never happen."
    if sample.options is not None and sample.answer_index is not None:
        right = sample.options[sample.answer_index]
        wrong = [option for option in sample.options if option != right]
        is_colour = set(sample.options) <= set(COLOURS)
        if right.startswith("a "):
            wrong = [right.replace(right.split()[1], colour) for colour in ("pink", "grey", "brown")]
            wrong[0] = f"the pink {right.split()[2]} sleeps"
        changes |= {"options": COLOUR_OPTIONS if is_colour else (right, *wrong), "answer_index": 0}
    return sample.model_copy(update=changes)


def test_each_broken_promise_is_seen() -> None:
    # Short clips: the events fill too much of them.
    config = WorldConfig(splits=SplitSizes(test_iid=140), max_duration_s=20.0)
    samples = [kept for sample in world_samples(plan_world(config), config) if (kept := spoiled(sample))]
    certificate = certify(config, samples, SamplingPolicy(fps=0.5), is_blank=True)
    assert certificate["skipped"] == []
    broken = [check["name"] for check in certificate["checks"] if not check["passed"]]
    planned_anew = ("near-miss", "repeat an event", "at the same time", "within another")
    assert all(promise(broken, part) for part in PROMISES if part not in planned_anew)


@pytest.mark.parametrize("part", ["repeat an event", "at the same time", "within another"])
def test_shares_far_from_the_configured_ones_are_seen(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = WorldConfig(splits=SplitSizes(train=200), repeat_share=0.9, overlap_share=0.9, nested_share=0.9)
    other = plan_world(
        config.model_copy(update={"repeat_share": 0.1, "overlap_share": 0.1, "nested_share": 0.0})
    )
    monkeypatch.setattr("d2vlm_pipeline.evaluation.certificate.plan_world", lambda _: other)
    durations = {plan.video: plan.duration_s for plan in other}
    checks = certify_world(config, [], durations, None, EvaluationConfig(), SAMPLING)["checks"]
    assert not next(check["passed"] for check in checks if part in check["name"])


def test_clips_that_were_not_accepted_are_left_out() -> None:
    config = WorldConfig(splits=SplitSizes(train=4, val=1, calib=1, test_iid=1))
    plans = plan_world(config)
    durations = {plan.video: plan.duration_s for plan in plans[1:]}
    clips = Painted({plan.video: plan for plan in plans[1:]})
    certificate = certify_world(config, [], durations, clips, EvaluationConfig(), SAMPLING)
    reasons = {row["name"]: row["reason"] for row in certificate["skipped"]}
    assert reasons[promise(list(reasons), "repeat an event")] == "6 clips, 100 needed"


def test_the_probe_reads_what_is_there_and_nothing_else() -> None:
    plans = plan_world(WorldConfig(splits=SplitSizes(train=200, val=10, calib=10, test_iid=20)))
    by_name = {plan.video: plan for plan in plans}
    told = probe_features(plans, Painted(by_name))
    assert all(reading.train > reading.held_out > 50 for reading in told.values())
    assert told["class"].accuracy == told["colour"].accuracy == 1.0
    blank = probe_features(plans, Painted(by_name, is_blank=True))
    # One of six classes or colours; of the cells, the middle one is the commonest.
    assert blank["class"].accuracy < 0.3 and blank["colour"].accuracy < 0.3
    assert blank["cell"].accuracy < 0.7 and told["cell"].accuracy > 0.9


def labelled(width: int) -> list[tuple[np.ndarray, str]]:
    """Two noisy classes that the first two features tell apart; what is beyond 40 features is empty."""
    rng = np.random.default_rng(3)
    rows_RD = np.zeros((60, width), np.float32)
    rows_RD[:, :40] = rng.normal(0.0, 0.5, (60, 40))
    rows_RD[::2, 0] += 1.0
    rows_RD[1::2, 1] += 1.0
    return [(row_D, "ab"[index % 2]) for index, row_D in enumerate(rows_RD)]


def test_ridge_regression_is_the_same_in_either_space() -> None:
    narrow, wide = labelled(40), labelled(200)
    accuracy = ridge_accuracy(narrow[:40], narrow[40:])
    assert 0.7 < accuracy < 1.0
    assert ridge_accuracy(wide[:40], wide[40:]) == accuracy


def test_a_label_never_taught_is_read_wrong() -> None:
    train = [(np.array([float(index % 2), 1.0], np.float32), "ab"[index % 2]) for index in range(20)]
    assert ridge_accuracy(train, train) == 1.0
    assert ridge_accuracy(train, [(features, "c") for features, _ in train]) == 0.0


@pytest.mark.parametrize(
    "counts, p", [([[10, 10, 10, 10]], 1.0), ([[30, 10]], 0.0015654), ([[30, 10], [20, 20]], 0.0067379)]
)
def test_the_chi_square_test_agrees_with_tables(counts: list[list[int]], p: float) -> None:
    assert chi_square_p(counts) == pytest.approx(p, rel=1e-4)


def test_the_option_most_like_the_others_shares_the_most_words() -> None:
    assert most_alike(["a red ball grows", "a red star grows", "a blue ball grows", "a red ball blinks"]) == [
        0
    ]
    assert most_alike(["red", "green", "blue", "white"]) == [0, 1, 2, 3]
