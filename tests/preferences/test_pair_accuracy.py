"""How often the truth is found likelier, by what the wrong answer is wrong in."""

import pytest
from pydantic import ValidationError

from d2vlm_pipeline.preferences.accuracy import FACTOR_OF, FactorAccuracy, accuracy_by_factor
from d2vlm_pipeline.timeline import AXES, FactorRecord, GroundedResponse, PreferencePair

CHOSEN, REJECTED = (GroundedResponse(evidence=(), segments=(word,)) for word in ("red", "blue"))


def pair(*axes: str) -> PreferencePair:
    factors = tuple(FactorRecord(operator="o", axis=axis, magnitude={}, event_ids=()) for axis in axes)
    return PreferencePair(
        id="p",
        sample_id="s",
        chosen=CHOSEN,
        rejected=REJECTED,
        factors=factors,
        seed=0,
        operator_version="1",
    )


def test_every_axis_has_a_factor():
    assert set(FACTOR_OF) == set(AXES)


def test_a_tie_is_not_right_and_a_pair_wrong_in_two_ways_counts_for_both():
    judged = [
        (pair("boundaries"), 0.5),
        (pair("boundaries"), 0.0),
        (pair("boundaries", "text"), -0.1),
        (pair("text", "option"), 2.0),
    ]
    assert accuracy_by_factor(judged) == {
        "interval": FactorAccuracy(right=1, n=3),
        "wording": FactorAccuracy(right=1, n=2),
    }


def test_no_pairs_have_no_share():
    assert FactorAccuracy(right=0, n=0).value is None and FactorAccuracy(right=1, n=4).value == 25.0


def test_more_right_ones_than_pairs_are_refused():
    with pytest.raises(ValidationError, match="right: 2 of 1 pairs"):
        FactorAccuracy(right=2, n=1)
