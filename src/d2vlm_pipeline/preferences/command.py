"""What `d2vlm preferences` does, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import track, write_bytes_atomic, write_text_atomic
from d2vlm_pipeline.preferences.audit import AuditConfig, PairAudit, judge
from d2vlm_pipeline.preferences.audit_plots import render_audit
from d2vlm_pipeline.preferences.config import PreferenceConfig
from d2vlm_pipeline.preferences.pair_checks import check_pairs
from d2vlm_pipeline.preferences.product import Form, Made, read_config, read_durations, synthesize_file
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.timeline.jsonl import read_jsonl

_FAULTY_SHOWN = 20


def run(
    samples: Path,
    out: Path,
    config: Path | None,
    durations: Path | None,
    split: str,
    epoch: int | None,
    form: str,
    audit: Path | None,
) -> Iterator[str]:
    """Write the pairs, and the audit into its folder where one is given; yield lines to show."""
    wanted: Form = "authors" if form == "authors" else "ours"
    audited = None if audit is None else PairAudit(AuditConfig())
    made = synthesize_file(
        samples,
        out,
        PreferenceConfig() if config is None else read_config(config),
        split=split,
        durations=durations,
        form=wanted,
        epochs=None if epoch is None else (epoch,),
        audit=audited,
    )
    record = made.statistics.record()
    yield from _summary(made, record, out)
    if audit is not None and audited is not None:
        found = audited.record()
        write_text_atomic(audit / "statistics.json", _json(record))
        write_text_atomic(audit / "audit.json", _json(found))
        write_bytes_atomic(audit / "audit.png", render_audit(found))
        for finding in judge(found, audited.config.limits):
            yield f"audit: {finding.name} is {finding.value}, above {finding.limit}"
        yield f"audit: {audit / 'audit.json'}, {audit / 'audit.png'}"


def check_files(pairs: Path, samples: Path, durations: Path | None) -> tuple[list[str], int]:
    """Lines to show, the first faulty pairs with their faults among them, and how many are faulty.

    Raises:
        UserError: a file is not there, or a row of one is no record.
    """
    lengths = {} if durations is None else read_durations(durations)
    known = (sample for _, sample in read_jsonl(samples, Sample))
    given = (pair for _, pair in read_jsonl(pairs, PreferencePair))
    checked, faulty = 0, list[str]()
    for row in check_pairs(track(given, "check pairs", unit="pair"), known, lengths):
        checked += 1
        if row.faults:
            faulty.append(f"  {row.pair}: {row.faults}")
    told = "all are wrong in exactly what they record" if not faulty else f"{len(faulty)} are not sound"
    shown = faulty[:_FAULTY_SHOWN] + (["  …"] if len(faulty) > _FAULTY_SHOWN else [])
    return [f"{checked} pairs: {told}", *shown], len(faulty)


def _summary(made: Made, record: dict[str, Any], out: Path) -> Iterator[str]:
    written = record["pairs"] - made.refused.total()
    yield f"{written} pairs of {record['samples']} samples: {out}"
    for operator, found in record["operators"].items():
        skipped = ", ".join(f"{reason} {count}" for reason, count in found["skipped"].items())
        yield f"  {operator:<15}{found['pairs']:>8}" + (f"   left out: {skipped}" if skipped else "")
    for task, count in record["samples_without_pairs"].items():
        yield f"  without pairs  {count:>8}   {task}"
    for split, count in sorted(made.reading.other_splits.items()):
        yield f"  not asked for  {count:>8}   split {split}"
    for reason, count in sorted(made.refused.items()):
        yield f"  not written    {count:>8}   {reason}"
    if record["checker"]["held_back"]:
        first, problems = next(iter(record["checker"]["examples"].items()))
        yield f"  held back      {record['checker']['held_back']:>8}   {first}: {problems[0]}"
    if made.reading.bad:
        yield f"  bad rows       {made.reading.bad:>8}"
        yield from (f"    {reason}" for reason in made.reading.reasons)


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
