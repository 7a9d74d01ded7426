"""Every pair held against its sample by the checker, once more and from outside: a row for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.preferences.checker import check_pair
from d2vlm_pipeline.timeline import PreferencePair, Sample


class PairCheck(StrictModel):
    """What the checker says of one pair.

    Attributes:
        pair, sample_id: the pair and the sample it claims to be about.
        split: of that sample; None where there is no such sample.
        operators: what it records, joined by `+`.
        faults: what the checker found, joined by `; `; empty for a sound pair.
    """

    pair: str
    sample_id: str
    split: str | None
    operators: str
    faults: str


def check_pairs(
    pairs: Iterable[PreferencePair], samples: Iterable[Sample], durations: Mapping[str, float]
) -> Iterator[PairCheck]:
    """A row for every pair, in their order.

    Args:
        pairs: to check.
        samples: the samples they are about, any others among them.
        durations: seconds of each video.
    """
    known = {sample.id: sample for sample in samples}
    for pair in pairs:
        sample = known.get(pair.sample_id)
        faults = ["there is no such sample"] if sample is None else _faults(pair, sample, durations)
        yield PairCheck(
            pair=pair.id,
            sample_id=pair.sample_id,
            split=sample.split if sample else None,
            operators="+".join(factor.operator for factor in pair.factors),
            faults="; ".join(faults),
        )


def _faults(pair: PreferencePair, sample: Sample, durations: Mapping[str, float]) -> list[str]:
    return check_pair(pair, sample, duration_s=durations.get(sample.video))
