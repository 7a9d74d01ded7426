"""Pairs held against their samples from outside."""

from d2vlm_pipeline.preferences import PreferenceConfig, check_pairs, synthesize_pairs
from d2vlm_pipeline.timeline import PreferencePair
from preferences.samples import ALL, DURATION_S, other_clip

SAMPLES = [*ALL, other_clip()]
DURATIONS = {"clip_1.mp4": DURATION_S, "clip_2.mp4": DURATION_S}


def pairs() -> list[PreferencePair]:
    return list(synthesize_pairs(SAMPLES, DURATIONS, PreferenceConfig(pairs_per_sample=2)))


def test_sound_pairs_have_no_fault_and_keep_their_order() -> None:
    made = pairs()
    found = list(check_pairs(made, SAMPLES, DURATIONS))
    assert len(made) > 20
    assert [(one.pair, one.sample_id, one.faults, one.split) for one in found] == [
        (pair.id, pair.sample_id, "", "train") for pair in made
    ]
    assert {one.operators for one in found} >= {"shift", "delete"}


def test_a_wrong_label_is_a_fault() -> None:
    pair = next(pair for pair in pairs() if pair.factors[0].axis == "boundaries")
    factor = pair.factors[0].model_copy(update={"axis": "text"})
    (found,) = check_pairs([pair.model_copy(update={"factors": (factor,)})], SAMPLES, DURATIONS)
    assert "differs in boundaries, which no factor records" in found.faults
    assert "; " in found.faults


def test_a_pair_of_no_sample_is_a_fault() -> None:
    stray = pairs()[0].model_copy(update={"sample_id": "nowhere"})
    (found,) = check_pairs([stray], SAMPLES, DURATIONS)
    assert (found.faults, found.split) == ("there is no such sample", None)


def test_an_interval_past_the_end_is_a_fault() -> None:
    pair = next(pair for pair in pairs() if pair.rejected.evidence)
    (found,) = check_pairs([pair], SAMPLES, {"clip_1.mp4": 0.5, "clip_2.mp4": 0.5})
    assert "interval ends at" in found.faults
