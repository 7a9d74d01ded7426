"""The authors' preference annotation (method.md §5.2): one record a sample, its wrong variants by key.

A key has three fields: who made it, which variant it is, and what was corrupted. There `repeat`, `f` and
`qwen` say that only text differs, which the form knows for captions alone; any other word is a grounding
perturbation, with intervals of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from d2vlm_pipeline.timeline import EVI, GroundedResponse, Interval, PreferencePair, Sample

_MAKER = "d2vlm"
_IMAGE = "<image>\n"
_CAPTIONED = ("dvc", "slc", "tvc")

NOT_GROUNDED = "the form has no answers without evidence but region captions"
NO_QUERIES = "the form has no questions with intervals but for region captions"
NOT_REFERRED = "the form wants every interval of the evidence in the answer, too"


def refused_by_authors(pair: PreferencePair, sample: Sample) -> str | None:
    """Why the authors' form cannot hold a pair; None where it can."""
    if sample.task == "rvc":
        return None
    if sample.query_intervals:
        return NO_QUERIES
    sides = (pair.chosen, pair.rejected)
    if not all(side.evidence for side in sides):
        return NOT_GROUNDED
    refers = all(side.render().count(EVI) == 2 * len(side.evidence) for side in sides)
    return None if refers else NOT_REFERRED


def authors_record(
    sample: Sample, pairs: Sequence[PreferencePair], duration_s: float
) -> dict[str, Any]:
    """One sample with its pairs, all of which the form can hold, as the authors' training code reads it."""
    variants = {_key(sample, pair, number): pair.rejected for number, pair in enumerate(pairs)}
    sides = {"chosen": sample.response(), **variants}
    record: dict[str, Any] = {
        "task": sample.task,
        "source": sample.source,
        "video": sample.video,
        "duration": duration_s,
        "conversations": {name: _conversation(sample, side) for name, side in sides.items()},
    }
    if sample.query_intervals:
        record["src"] = {"chosen": _flat(sample.query_spans)}
    if sample.task != "rvc":
        record["tgt"] = {name: _flat(side.evidence) for name, side in sides.items()}
    return record


def _key(sample: Sample, pair: PreferencePair, number: int) -> str:
    operators = {factor.operator for factor in pair.factors}
    is_text = all(factor.axis == "text" for factor in pair.factors)
    if sample.task == "rvc":
        kind = "qwen"  # the one kind of variant that needs no intervals
    elif is_text and sample.task in _CAPTIONED:
        kind = "repeat" if operators == {"repeat"} else "f"
    else:
        kind = "-".join(sorted(operator.replace("_", "-") for operator in operators))
        kind = "other" if kind in ("f", "repeat", "qwen") else kind
    return f"{_MAKER}_{number}_{kind}"


def _conversation(sample: Sample, response: GroundedResponse) -> list[dict[str, str]]:
    return [
        {"from": "human", "value": _IMAGE + sample.question},
        {"from": "gpt", "value": response.render()},
    ]


def _flat(intervals: Sequence[Interval]) -> list[float]:
    return [time_s for interval in intervals for time_s in (interval.start_s, interval.end_s)]
