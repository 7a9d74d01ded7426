"""Sound pairs of every operator, and the many ways in which they can be damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from d2vlm_pipeline.preferences import (
    OPERATORS,
    Count,
    DonorPool,
    OperatorWeights,
    PreferenceConfig,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import AXES, FactorRecord, GroundedResponse, Interval, PreferencePair, Sample
from preferences import samples as s

Damage = Callable[[PreferencePair, Sample, Random], PreferencePair | None]
"""A damaged copy of a sound pair; None where the pair has nothing that could be damaged in this way."""

SAMPLES = [*s.ALL, s.other_clip()]


def sound_pairs(turns: int = 3, several: bool = True) -> list[tuple[PreferencePair, Sample]]:
    """Pairs of every operator on every task that it is for, and some of several factors."""
    by_id = {sample.id: sample for sample in SAMPLES}
    configs = [
        PreferenceConfig(
            pairs_per_sample=turns,
            weights=OperatorWeights(**{name: float(name == operator) for name in OPERATORS}),
        )
        for operator in OPERATORS
    ]
    if several:
        configs.append(PreferenceConfig(pairs_per_sample=turns, factors_per_pair=Count(low=2, high=3)))
    durations = dict.fromkeys((sample.video for sample in SAMPLES), s.DURATION_S)
    donors = DonorPool.of(SAMPLES)
    return [
        (pair, by_id[pair.sample_id])
        for config in configs
        for pair in synthesize_pairs(SAMPLES, durations, config, donors)
    ]


def planted_pairs(rng: Random) -> Iterator[tuple[str, PreferencePair, Sample]]:
    """Bad pairs without end: (damage, pair, its sample), every damage and every operator again and again."""
    sound = sound_pairs()
    while True:
        for name, damage in DAMAGES.items():
            for _ in range(8):
                pair, sample = rng.choice(sound)
                bad = damage(pair, sample, rng)
                if bad is not None:
                    yield name, bad, sample
                    break


def _with(pair: PreferencePair, **changes: object) -> PreferencePair:
    """A changed copy that no validator sees, as a careless program would make it."""
    return pair.model_copy(update=changes)


def _rejected(pair: PreferencePair, **changes: object) -> PreferencePair:
    return _with(pair, rejected=pair.rejected.model_copy(update=changes))


def _wrong_axis(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    factor = rng.choice(pair.factors)
    other = rng.choice([axis for axis in AXES if axis != factor.axis])
    return _with_factor(pair, factor, axis=other)


def _an_axis_more(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    more = {
        "boundaries": FactorRecord(
            operator="shift",
            axis="boundaries",
            magnitude={"events": 1, "mean_shift_s": 5.0, "max_iou": 0.0},
            event_ids=(0,),
        ),
        "text": FactorRecord(operator="distort", axis="text", magnitude={"events": 1}, event_ids=(0,)),
        "event_set": FactorRecord(
            operator="delete", axis="event_set", magnitude={"events": 1}, event_ids=(0,)
        ),
    }
    return _with(pair, factors=(*pair.factors, more[rng.choice(sorted(more))]))


def _an_axis_less(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if len(pair.factors) < 2:
        return None
    k = rng.randrange(len(pair.factors))
    return _with(pair, factors=pair.factors[:k] + pair.factors[k + 1 :])


def _a_record_twice(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with(pair, factors=(*pair.factors, rng.choice(pair.factors)))


def _chosen_not_the_truth(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    if rng.random() < 0.5:
        return _with(pair, chosen=pair.rejected)
    words = [f"{each} indeed" if isinstance(each, str) else each for each in pair.chosen.segments]
    return _with(pair, chosen=pair.chosen.model_copy(update={"segments": tuple(words)}))


def _sides_swapped(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with(pair, chosen=pair.rejected, rejected=pair.chosen)


def _rejected_equal(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with(pair, rejected=pair.chosen)


def _interval_out_of_the_clip(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if not pair.rejected.evidence:
        return None
    evidence = list(pair.rejected.evidence)
    k = rng.randrange(len(evidence))
    evidence[k] = Interval(start_s=evidence[k].start_s, end_s=s.DURATION_S + rng.uniform(0.01, 9))
    return _rejected(pair, evidence=tuple(evidence))


def _interval_backwards(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if not pair.rejected.evidence:
        return None
    evidence = list(pair.rejected.evidence)
    k = rng.randrange(len(evidence))
    turned = Interval.model_construct(start_s=evidence[k].end_s, end_s=evidence[k].start_s)
    evidence[k] = turned
    return _rejected(pair, evidence=tuple(evidence))


def _wrong_event_ids(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    factor = rng.choice(pair.factors)
    others = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (len(sample.events),)]
    ids = rng.choice([ids for ids in others if ids != factor.event_ids])
    return _with_factor(pair, factor, event_ids=ids)


def _wrong_magnitude(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    factor = rng.choice(pair.factors)
    names = sorted(name for name, value in factor.magnitude.items() if not isinstance(value, str))
    if not names:
        return None
    name = rng.choice(names)
    value = factor.magnitude[name]
    wrong = value + rng.choice([1, 2, 3]) if isinstance(value, int) else value + rng.choice([0.01, 0.5, -3])
    return _with_factor(pair, factor, magnitude={**factor.magnitude, name: wrong})


def _magnitude_missing(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    factor = rng.choice(pair.factors)
    name = rng.choice(sorted(factor.magnitude))
    kept = {key: value for key, value in factor.magnitude.items() if key != name}
    return _with_factor(pair, factor, magnitude=kept)


def _with_factor(pair: PreferencePair, factor: FactorRecord, **changes: object) -> PreferencePair:
    changed = factor.model_copy(update=changes)
    return _with(pair, factors=tuple(changed if each is factor else each for each in pair.factors))


def _caption_left_behind(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    """Two captions of the rejected side change places, their intervals stay."""
    segments = list(pair.rejected.segments)
    texts = [k for k, each in enumerate(segments) if isinstance(each, str) and k and "," in each]
    texts = [k for k in texts if segments[k].strip(" .") != segments[texts[0]].strip(" .")][:1] + texts[:1]
    if sample.task not in ("dvc", "slc", "tvc") or len(texts) < 2:
        return None
    (a, b), (first, second) = texts, (segments[texts[0]], segments[texts[1]])
    gaps = [text[len(text.rstrip(" .")) :] for text in (first, second)]
    segments[a] = second.rstrip(" .") + gaps[0]
    segments[b] = first.rstrip(" .") + gaps[1]
    return _rejected(pair, segments=tuple(segments))


def _order_changed(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    evidence = pair.rejected.evidence
    turned = evidence[1:] + evidence[:1]
    return None if turned == evidence else _rejected(pair, evidence=turned)


def _another_interval_nudged(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if not pair.rejected.evidence:
        return None
    evidence = list(pair.rejected.evidence)
    k = rng.randrange(len(evidence))
    start_s = evidence[k].start_s + rng.choice([0.05, 0.4])
    evidence[k] = Interval(start_s=start_s, end_s=max(evidence[k].end_s, start_s + 0.1))
    return _rejected(pair, evidence=tuple(evidence))


def _words_added(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    """A word more; beyond a distorted phrase or a borrowed denial nobody can say that it was not meant."""
    if any(factor.operator in ("distort", "wrong_text", "add") for factor in pair.factors):
        return None
    segments = list(pair.rejected.segments)
    texts = [k for k, each in enumerate(segments) if isinstance(each, str)]
    if not texts:
        return None
    k = rng.choice(texts)
    segments[k] = segments[k].rstrip(" .") + " perhaps" + segments[k][len(segments[k].rstrip(" .")) :]
    return _rejected(pair, segments=tuple(segments))


def _separators_lost(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    segments = [each.replace(", ", " ") if isinstance(each, str) else each for each in pair.rejected.segments]
    if tuple(segments) == pair.rejected.segments or sample.task in ("rvc", "tvg"):
        return None
    return _rejected(pair, segments=tuple(segments))


def _letter_and_words_disagree(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    opening = pair.rejected.segments[0] if pair.rejected.segments else ""
    if sample.options is None or not isinstance(opening, str):
        return None
    letter = opening[1]
    other = rng.choice([each for each in "ACDB" if each != letter])
    return _rejected(pair, segments=(opening.replace(letter, other, 1), *pair.rejected.segments[1:]))


def _another_option_recorded(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    factor = next((each for each in pair.factors if "option_to" in each.magnitude), None)
    if factor is None or sample.options is None:
        return None
    put = factor.magnitude["option_to"]
    other = rng.choice([k for k in range(len(sample.options)) if k != put])
    return _with_factor(pair, factor, magnitude={**factor.magnitude, "option_to": other})


def _token_in_the_text(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    token = rng.choice(["<evi>", "</evi>"])
    return _rejected(pair, segments=(*pair.rejected.segments, f" {token} again."))


def _references_out_of_order(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if not any(isinstance(each, int) for each in pair.rejected.segments):
        return None
    count = len(pair.rejected.evidence)
    turned = [each if isinstance(each, str) else count - each for each in pair.rejected.segments]
    return _rejected(pair, segments=tuple(turned))


def _reference_lost(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    if len(pair.rejected.evidence) < 2:
        return None
    segments = [each for each in pair.rejected.segments if each != 1]
    return None if tuple(segments) == pair.rejected.segments else _rejected(pair, segments=tuple(segments))


def _another_version(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with(pair, operator_version=rng.choice(["0", "2", "1.0", "one"]))


def _another_sample(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with(pair, sample_id=rng.choice([each.id for each in SAMPLES if each.id != sample.id]))


def _unknown_operator(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    return _with_factor(pair, rng.choice(pair.factors), operator=rng.choice(["shiff", "swap", "none"]))


def _operator_of_another_axis(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair:
    others = {"boundaries": "distort", "text": "shift", "event_set": "shift", "option": "delete"}
    factor = rng.choice(pair.factors)
    return _with_factor(pair, factor, operator=others[factor.axis])


def _operator_of_the_same_axis(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    others = {"shift": "resize", "resize": "shift", "add": "split", "delete": "merge", "merge": "delete"}
    factor = next((each for each in pair.factors if each.operator in others), None)
    if factor is None:
        return None
    return _with_factor(pair, factor, operator=others[factor.operator])


def _an_event_added(pair: PreferencePair, sample: Sample, rng: Random) -> PreferencePair | None:
    """One event more than the records tell, written like the others."""
    if sample.task not in ("tal", "evs") or not pair.rejected.evidence:
        return None
    last = pair.rejected.evidence[-1]
    evidence = (*pair.rejected.evidence, Interval(start_s=last.start_s, end_s=last.end_s + 0.5))
    *segments, closing = pair.rejected.segments
    longer = (*segments, ", and ", len(evidence) - 1, closing)
    return _with(pair, rejected=GroundedResponse(evidence=evidence, segments=longer))


DAMAGES: dict[str, Damage] = {
    "wrong axis": _wrong_axis,
    "an axis more": _an_axis_more,
    "an axis less": _an_axis_less,
    "a record twice": _a_record_twice,
    "chosen not the truth": _chosen_not_the_truth,
    "sides swapped": _sides_swapped,
    "rejected equal": _rejected_equal,
    "interval out of the clip": _interval_out_of_the_clip,
    "interval backwards": _interval_backwards,
    "wrong event ids": _wrong_event_ids,
    "wrong magnitude": _wrong_magnitude,
    "magnitude missing": _magnitude_missing,
    "caption left behind": _caption_left_behind,
    "order changed": _order_changed,
    "another interval nudged": _another_interval_nudged,
    "words added": _words_added,
    "separators lost": _separators_lost,
    "letter and words disagree": _letter_and_words_disagree,
    "another option recorded": _another_option_recorded,
    "token in the text": _token_in_the_text,
    "references out of order": _references_out_of_order,
    "reference lost": _reference_lost,
    "another version": _another_version,
    "another sample": _another_sample,
    "unknown operator": _unknown_operator,
    "operator of another axis": _operator_of_another_axis,
    "operator of the same axis": _operator_of_the_same_axis,
    "an event added": _an_event_added,
}
