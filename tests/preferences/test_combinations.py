"""Several factors in one pair, and pairs that are drawn anew for each epoch."""

from collections import Counter

import pytest

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.preferences import (
    OPERATORS,
    Count,
    DonorPool,
    OperatorWeights,
    PairStatistics,
    PreferenceConfig,
    check_pair,
    differing_axes,
    named_axes,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import PreferencePair, dump_jsonl
from preferences import samples as s

SAMPLES = [
    sample.model_copy(update={"id": f"{sample.id}/{copy}"})
    for sample in [*s.ALL, s.other_clip()]
    for copy in range(6)
]
BY_ID = {sample.id: sample for sample in SAMPLES}
DURATIONS = dict.fromkeys((sample.video for sample in SAMPLES), s.DURATION_S)
DONORS = DonorPool.of(SAMPLES)


def made(statistics=None, epochs=None, samples=SAMPLES, **config) -> list[PreferencePair]:
    return list(
        synthesize_pairs(samples, DURATIONS, PreferenceConfig(**config), DONORS, statistics, epochs)
    )


@pytest.mark.parametrize("count", [2, 3])
def test_a_pair_of_several_factors_differs_on_all_their_axes_and_no_other(count):
    pairs = made(factors_per_pair=Count(low=count, high=count), pairs_per_sample=3)
    seen = Counter()
    for pair in pairs:
        sample = BY_ID[pair.sample_id]
        assert len(pair.factors) == count
        named = set().union(*(named_axes(factor) for factor in pair.factors))
        assert differing_axes(pair.chosen, pair.rejected, sample) == named
        assert check_pair(pair, sample, duration_s=s.DURATION_S) == []
        # None of them can be left out.
        for k in range(count):
            fewer = pair.model_copy(update={"factors": pair.factors[:k] + pair.factors[k + 1 :]})
            assert check_pair(fewer, sample) != []
        seen.update(factor.operator for factor in pair.factors)
    assert len(seen) >= (8 if count == 2 else 6), seen
    tasks = {BY_ID[pair.sample_id].task for pair in pairs}
    captioned = {"dvc", "slc", "tvc"}
    assert tasks == (captioned | {"gvq", "tal", "evs", "tvg", "tem"} if count == 2 else captioned)


def test_where_no_second_factor_fits_the_reason_is_counted_or_one_is_enough():
    statistics = PairStatistics()
    assert made(statistics, samples=[s.choice("mcq")], factors_per_pair=Count(low=2, high=2)) == []
    assert statistics.record()["operators"]["swap_option"]["skipped"] == {"no second factor fits": 1}
    (alone,) = made(samples=[s.choice("mcq")], factors_per_pair=Count(low=1, high=3), pairs_per_sample=1)
    assert len(alone.factors) == 1


def test_a_pair_of_several_factors_counts_once():
    statistics = PairStatistics()
    pairs = made(statistics, factors_per_pair=Count(low=2, high=2))
    record = statistics.record()
    assert record["pairs"] == len(pairs)
    assert sum(found["pairs"] for found in record["operators"].values()) == 2 * len(pairs)


def test_each_epoch_draws_other_pairs_and_the_first_is_what_it_was():
    first, again = made(epochs=[0]), made(epochs=[1])
    assert dump_jsonl(first) == dump_jsonl(made())
    assert {pair.sample_id for pair in first} == {pair.sample_id for pair in again}
    assert not {pair.id for pair in first} & {pair.id for pair in again}
    assert len({pair.rejected for pair in again} - {pair.rejected for pair in first}) > len(again) / 3
    assert dump_jsonl(again) == dump_jsonl(made(epochs=[1]))


def test_all_epochs_of_a_sample_come_together():
    config = PreferenceConfig(epochs=3)
    together = list(synthesize_pairs(SAMPLES, DURATIONS, config, DONORS))
    by_epoch = {epoch: [pair for pair in together if pair.epoch == epoch] for epoch in range(3)}
    assert all(dump_jsonl(pairs) == dump_jsonl(made(epochs=[epoch])) for epoch, pairs in by_epoch.items())


def test_the_first_epoch_is_not_written_out():
    (first, *_), (second, *_) = made(epochs=[0]), made(epochs=[1])
    assert "epoch" not in canonical_json(first) and '"epoch":1' in canonical_json(second)
    assert PreferencePair.model_validate_json(canonical_json(first)) == first
    assert PreferencePair.model_validate_json(canonical_json(second)) == second


def test_what_was_drawn_once_is_drawn_again():
    """Pairs of this operator version are these; a change to an operator raises the version."""
    from d2vlm_pipeline.artifacts import digest_bytes

    six = OperatorWeights(**{name: float(name in OPERATORS[:6]) for name in OPERATORS})
    every = OperatorWeights()
    drawn = (dump_jsonl(made(weights=weights, pairs_per_sample=4)) for weights in (six, every))
    assert [digest_bytes(text.encode())[:12] for text in drawn] == ["1ef8f705f11b", "69a541fdb98e"]
