"""The answers of the demo world are all of a form that the operators know."""

from d2vlm_pipeline.preferences import (
    DonorPool,
    OperatorWeights,
    PairStatistics,
    PreferenceConfig,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import TASKS
from d2vlm_pipeline.video.world import SplitSizes, WorldConfig, plan_world, world_samples


def test_every_sample_that_can_give_a_pair_gives_one_and_none_is_faulty():
    config = WorldConfig(splits=SplitSizes(train=24, val=1, calib=1, test_iid=1))
    plans = [plan for plan in plan_world(config) if plan.split == "train"]
    samples = world_samples(plans, config)
    assert {sample.task for sample in samples} >= set(TASKS) - {"tem"}
    durations = {plan.video: plan.duration_s for plan in plans}
    statistics = PairStatistics()
    preferences = PreferenceConfig(weights=OperatorWeights(), pairs_per_sample=6)
    pairs = list(synthesize_pairs(samples, durations, preferences, DonorPool.of(samples), statistics))
    record = statistics.record()
    assert record["checker"]["held_back"] == 0
    reasons = {reason for operator in record["operators"].values() for reason in operator["skipped"]}
    assert "answer form not recognised" not in reasons
    silent = {sample.id for sample in samples} - {pair.sample_id for pair in pairs}
    # Only what has no event to move and no words to distort: absent events, and plain choices.
    assert {sample.task for sample in samples if sample.id in silent} <= {"mcq", "tvg", "tal"}
    assert all(not sample.events for sample in samples if sample.id in silent)
