"""Preference pairs from a file of samples alone: no videos, no features, no model.

The file is read twice as a stream: for words to borrow and lengths of clips, then for the pairs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import yaml
from pydantic import PositiveFloat, TypeAdapter, ValidationError

from d2vlm_pipeline.artifacts import UserError, atomic_file, canonical_json, track, validation_reason
from d2vlm_pipeline.preferences.audit import PairAudit
from d2vlm_pipeline.preferences.authors import authors_record, refused_by_authors
from d2vlm_pipeline.preferences.config import PreferenceConfig
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.synthesis import synthesize_pairs
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.timeline.jsonl import LineError, scan_jsonl

Form = Literal["ours", "authors"]
_REASONS_SHOWN = 5


@dataclass
class Reading:
    """What a pass over a file of samples saw.

    Attributes:
        samples: rows of the wanted split.
        other_splits: rows of others, by split.
        bad: rows that are no samples, or repeat an id; the first ones with their reason.
        last_s: by video, when its last known event or query ends.
    """

    samples: int = 0
    other_splits: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    reasons: list[str] = field(default_factory=list)
    last_s: dict[str, float] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """Count a row that is left out."""
        self.bad += 1
        if len(self.reasons) < _REASONS_SHOWN:
            self.reasons.append(reason)


@dataclass(frozen=True)
class Made:
    """What came of a file of samples: counts, and what the form could not hold and why."""

    reading: Reading
    statistics: PairStatistics
    refused: Counter[str]


def synthesize_file(
    samples: Path,
    out: Path,
    config: PreferenceConfig,
    *,
    split: str = "train",
    durations: Path | None = None,
    form: Form = "ours",
    epochs: tuple[int, ...] | None = None,
    audit: PairAudit | None = None,
) -> Made:
    """Write the pairs of a file of samples; rows that are no samples are counted and left out.

    Args:
        samples: JSON lines of Sample.
        out: JSON lines of PreferencePair, or a JSON list in the authors' form; appears whole or not at all.
        config: what to draw.
        split: whose samples; words are borrowed from the same split alone.
        durations: JSON object of seconds by video; without it a clip ends with its last known event.
        form: ours, or the authors'.
        epochs: which sets to draw; all that the configuration asks for where not given.
        audit: takes in every pair on the way.

    Raises:
        UserError: no file, no sample of the split, a video without duration or one shorter than its events.
    """
    reading = Reading()
    donors = DonorPool.of(track(_scan(samples, split, reading), "read samples", unit="sample"))
    if not reading.samples:
        raise UserError(f"{samples}: no sample in split {split}; {_what_there_is(reading)}")
    lengths = reading.last_s if durations is None else read_durations(durations)
    statistics, refused = PairStatistics(), Counter[str]()
    known: dict[str, Sample] = {}
    stream = _remembering(_scan(samples, split, Reading()), known)
    shown = track(stream, "synthesise pairs", total=reading.samples, unit="sample")
    pairs = synthesize_pairs(shown, lengths, config, donors, statistics, epochs)
    with atomic_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        lines = _audited(pairs, known, lengths, audit)
        texts = _in_our_form(lines) if form == "ours" else _in_authors_form(lines, known, lengths, refused)
        file.writelines(texts)
    return Made(reading, statistics, refused)


def read_config(path: Path) -> PreferenceConfig:
    """The configuration in a YAML file.

    Raises:
        UserError: no such file, no YAML, or a wrong key or value.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return PreferenceConfig.model_validate(given)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except ValidationError as error:
        raise UserError(f"{path}: {validation_reason(error)}; see docs/preferences.md") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def read_durations(path: Path) -> dict[str, float]:
    """Seconds by video.

    Raises:
        UserError: no such file, or not an object of positive numbers.
    """
    try:
        return TypeAdapter(dict[str, PositiveFloat]).validate_python(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except ValidationError as error:
        raise UserError(f"{path}: {validation_reason(error)}; give seconds by video") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; give an object of seconds by video") from error


def _scan(path: Path, split: str, reading: Reading) -> Iterator[Sample]:
    """The good samples of a split, each id once; what is left out is counted."""
    seen: set[str] = set()
    for line, row in scan_jsonl(path, Sample):
        if isinstance(row, LineError):
            reading.refuse(str(row))
        elif row.id in seen:
            reading.refuse(f"{path}:{line}: sample {row.id} is there twice; give each its own id")
        elif row.split != split:
            reading.other_splits[row.split] += 1
        else:
            seen.add(row.id)
            reading.samples += 1
            ends_s = [*(event.end_s for event in row.events), *(end_s for _, end_s in row.query_intervals)]
            reading.last_s[row.video] = max([reading.last_s.get(row.video, 0.0), *ends_s])
            yield row


def _what_there_is(reading: Reading) -> str:
    if reading.other_splits:
        found = ", ".join(f"{split} ({count})" for split, count in sorted(reading.other_splits.items()))
        return f"there is {found}: choose one with --split"
    return reading.reasons[0] if reading.reasons else "it has no rows"


def _remembering(samples: Iterator[Sample], known: dict[str, Sample]) -> Iterator[Sample]:
    """Keep the sample that is being worked on, and no other."""
    for sample in samples:
        known.clear()
        known[sample.id] = sample
        yield sample


def _audited(
    pairs: Iterator[PreferencePair],
    known: dict[str, Sample],
    lengths: dict[str, float],
    audit: PairAudit | None,
) -> Iterator[PreferencePair]:
    for pair in pairs:
        if audit is not None:
            sample = known[pair.sample_id]
            audit.add(pair, sample, lengths[sample.video])
        yield pair


def _in_our_form(pairs: Iterator[PreferencePair]) -> Iterator[str]:
    return (canonical_json(pair) + "\n" for pair in pairs)


def _in_authors_form(
    pairs: Iterator[PreferencePair],
    known: dict[str, Sample],
    lengths: dict[str, float],
    refused: Counter[str],
) -> Iterator[str]:
    """A JSON list, one line a sample; pairs that the form cannot hold are counted."""
    opening = "[\n"
    for sample_id, group in groupby(pairs, key=lambda pair: pair.sample_id):
        sample, kept = known[sample_id], list[PreferencePair]()
        for pair in group:
            reason = refused_by_authors(pair, sample)
            if reason is None:
                kept.append(pair)
            else:
                refused[reason] += 1
        if kept:
            record = authors_record(sample, kept, lengths[sample.video])
            yield opening + json.dumps(record, ensure_ascii=False)
            opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"
