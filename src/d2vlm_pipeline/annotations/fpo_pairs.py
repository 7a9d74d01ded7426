"""The authors' preference annotation as pairs: what is chosen, and each variant that is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, RowError, fault_code
from d2vlm_pipeline.annotations.formats import fpo
from d2vlm_pipeline.annotations.importing import check_intervals, rejection_of, sample_of
from d2vlm_pipeline.annotations.names import VideoNames
from d2vlm_pipeline.annotations.rejection import Rejection
from d2vlm_pipeline.artifacts import validation_reason
from d2vlm_pipeline.timeline import (
    Axis,
    FactorRecord,
    GroundedResponse,
    Interval,
    PreferencePair,
    Sample,
    split_answer,
)

VERSION = "authors"
"""Operator version of these pairs: how the authors corrupted them is not public (method.md §5.1)."""

# Third field of a key (method.md §5.2): what corrupts the words alone; anything else moves intervals.
_WORDS = ("f", "repeat", "qwen")


def read_pairs(
    path: Path, config: ImportConfig, videos: VideoNames
) -> Iterator[tuple[Sample, PreferencePair] | Rejection]:
    """Every rejected variant of every entry, with its sample; a Rejection of what is unusable.

    The recorded factor is the variant's key, its axis read off the key and the intervals.

    Raises:
        UserError: no such file, too large, or no JSON list.
    """
    first_rows: dict[str, str] = {}
    for entry in fpo.rows(path, config):
        if isinstance(entry, Fault):
            yield rejection_of(str(path), entry)
            continue
        row, draft = entry
        sample = sample_of(draft, config, videos, path.stem, first_rows)
        if isinstance(sample, Fault):
            yield rejection_of(str(path), sample)
            continue
        first_rows[sample.id] = f"{path}:{draft.line}"
        for key in row.variants:
            pair = _pair(row, draft, sample, key, config)
            yield rejection_of(str(path), pair) if isinstance(pair, Fault) else (sample, pair)


def _pair(
    row: fpo.FpoRow, draft: Draft, sample: Sample, key: str, config: ImportConfig
) -> PreferencePair | Fault:
    pair_id = f"{sample.id}/{key}"
    try:
        variant = fpo.response_draft(draft.line, row, key, config)
        check_intervals(variant)
        rejected = GroundedResponse(
            evidence=tuple(Interval(start_s=span.start_s, end_s=span.end_s) for span in variant.events),
            segments=split_answer(variant.answer),
        )
        factor = FactorRecord(operator=key, axis=_axis(key, draft, variant))
        return PreferencePair(
            id=pair_id,
            sample_id=sample.id,
            chosen=sample.response(),
            rejected=rejected,
            factors=(factor,),
            seed=0,
            operator_version=VERSION,
        )
    except RowError as error:
        return Fault(draft.line, error.code, str(error), draft.video, pair_id)
    except ValidationError as error:
        return Fault(draft.line, fault_code(error), validation_reason(error), draft.video, pair_id)


def _axis(key: str, chosen: Draft, rejected: Draft) -> Axis:
    fields = key.split("_")
    if len(fields) >= 3 and fields[2] in _WORDS:
        return "text"
    return "boundaries" if len(chosen.events) == len(rejected.events) else "event_set"
