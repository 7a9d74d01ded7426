"""What is timed is what is promised: three or more events a sample, every pair checked and written."""

from random import Random

from benchmarks.preferences import caption, configs, rates, workload, written

from d2vlm_pipeline.preferences import DonorPool, check_pair


def test_the_workload_is_as_large_as_the_promise_says() -> None:
    samples = workload(40)
    assert all(3 <= len(sample.events) <= 8 for sample in samples)
    assert {sample.task for sample in samples} == {"tal", "dvc"}
    assert len({caption(Random(seed)) for seed in range(1000)}) > 900


def test_every_pair_that_is_timed_is_sound() -> None:
    samples = workload(40)
    by_id = {sample.id: sample for sample in samples}
    donors = DonorPool.of(samples)
    for name, config in configs().items():
        pairs = written(samples, donors, config)
        assert pairs, name
        assert all(check_pair(pair, by_id[pair.sample_id], duration_s=128.0) == [] for pair in pairs)


def test_rates_are_told_for_all_operators_and_for_each() -> None:
    found = rates(workload(6), repetitions=1)
    assert {"all", "all, 1 to 3 factors", "shift", "reorder", "checker alone"} <= set(found)
    assert all(rate > 0 for rate in found.values())
