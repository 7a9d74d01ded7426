"""Real annotations of eleven files: every pair made of them is sound, and every wording gives pairs."""

from collections import Counter

import pytest

from conformance.test_public_annotations import FILES, imported
from d2vlm_pipeline.preferences import Count, PairStatistics, PreferenceConfig, synthesize_pairs
from d2vlm_pipeline.timeline import GROUNDED_TASKS, Sample

MOST = 60


def durations(samples: list[Sample]) -> dict[str, float]:
    """A clip ends with the last that is known of it."""
    found: dict[str, float] = {}
    for sample in samples:
        ends_s = [*(event.end_s for event in sample.events), *(end_s for _, end_s in sample.query_intervals)]
        found[sample.video] = max([found.get(sample.video, 1.0), *ends_s])
    return found


@pytest.mark.parametrize("several", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_pairs_of_real_annotations_are_sound(name: str, several: int) -> None:
    samples, _ = imported(name)
    samples = samples[:: max(1, len(samples) // MOST)]
    config = PreferenceConfig(pairs_per_sample=3, factors_per_pair=Count(low=1, high=several))
    statistics = PairStatistics()
    pairs = list(synthesize_pairs(samples, durations(samples), config, statistics=statistics))
    record = statistics.record()
    assert record["checker"]["examples"] == {}
    reasons = sum((Counter(found["skipped"]) for found in record["operators"].values()), Counter())
    assert reasons["answer form not recognised"] == 0
    grounded = {sample.id for sample in samples if sample.task in GROUNDED_TASKS and sample.events}
    assert grounded - {pair.sample_id for pair in pairs} == set()
    assert len(pairs) > len(grounded)
