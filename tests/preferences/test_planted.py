"""A checker is worth what it refuses: sound pairs of every kind pass, a thousand damaged ones do not."""

from collections import Counter
from itertools import islice
from random import Random

from d2vlm_pipeline.preferences import OPERATORS, check_pair
from preferences import samples as s
from preferences.planting import DAMAGES, planted_pairs, sound_pairs

PLANTED = 1000


def test_every_sound_pair_is_accepted():
    sound = sound_pairs(turns=6)
    faults = {pair.id: check_pair(pair, sample, duration_s=s.DURATION_S) for pair, sample in sound}
    assert {name: found for name, found in faults.items() if found} == {}
    alone = {pair.factors[0].operator for pair, _ in sound if len(pair.factors) == 1}
    assert alone == set(OPERATORS)
    assert sum(len(pair.factors) > 1 for pair, _ in sound) >= 30


def test_every_one_of_a_thousand_planted_bad_pairs_is_refused():
    planted = list(islice(planted_pairs(Random(0)), PLANTED))
    missed = [
        (name, pair.id)
        for name, pair, sample in planted
        if not check_pair(pair, sample, duration_s=s.DURATION_S)
    ]
    assert missed == []
    damages = Counter(name for name, _, _ in planted)
    assert set(damages) == set(DAMAGES) and min(damages.values()) >= 10
    assert {factor.operator for _, pair, _ in planted for factor in pair.factors} >= set(OPERATORS)
