"""A report as JSON: what `d2vlm score --json` writes."""

from typing import Any

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.evaluation.benchmarks.comparison import Change, Comparison
from d2vlm_pipeline.evaluation.benchmarks.engine import Report
from d2vlm_pipeline.evaluation.benchmarks.figures import label
from d2vlm_pipeline.evaluation.benchmarks.quirks import Otherwise

SCHEMA = 1


def report_json(report: Report) -> str:
    """Canonical text: equal files give equal bytes."""
    return canonical_json(report_record(report)) + "\n"


def report_record(report: Report) -> dict[str, Any]:
    """A report as plain values; a path is written as its steps joined by `/`."""
    scored, settings = report.scored, report.settings
    return {
        "schema": SCHEMA,
        "benchmark": report.benchmark,
        "protocol": report.protocol,
        "version": dict(report.versions),
        "bootstrap": {
            "unit": "video",
            "resamples": settings.resamples,
            "confidence": settings.confidence,
            "seed": settings.seed,
        },
        "digests": {
            role: [{"file": name, "sha256": digest} for name, digest in files]
            for role, files in report.digests.items()
        },
        "counts": vars(scored.counts),
        "unparsed": [
            {"id": query.id, "video": query.video, "answer": query.answer}
            for query in scored.queries
            if query.status == "unparsed"
        ],
        "metrics": scored.metrics,
        "headline": [label(path) for path in scored.headline],
        "intervals": {label(path): vars(ranged) for path, ranged in report.intervals.items()},
        "slices": _slices(report),
        "protocols": [_otherwise(other) for other in report.others if other.number is None],
        "traps": [_otherwise(other) for other in report.others if other.number is not None],
        "comparison": None if report.comparison is None else _comparison(report.comparison),
        "tables": scored.tables,
        "unavailable": dict(scored.unavailable),
        "notes": list(scored.notes),
    }


def _slices(report: Report) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Dimension to headline figure to its slices in reading order."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for part in report.slices:
        row = {"slice": part.name, "n": part.n, "value": part.value, "low": part.low, "high": part.high}
        found.setdefault(part.dimension, {}).setdefault(label(part.path), []).append(row)
    return found


def _otherwise(other: Otherwise) -> dict[str, Any]:
    record = {
        "protocol": other.protocol,
        "why": other.why,
        "differences": {label(path): value for path, value in other.differences.items()},
        "line": other.line,
    }
    return record if other.number is None else {**record, "trap": other.number}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "test": "approximate randomisation over videos",
        "differences": {
            label(found.path): {name: value for name, value in found._asdict().items() if name != "path"}
            for found in comparison.differences
        },
        "changed": comparison.changed,
        "better": [_change(change) for change in comparison.better],
        "worse": [_change(change) for change in comparison.worse],
    }


def _change(change: Change) -> dict[str, Any]:
    return {**vars(change), "before": change.before._asdict(), "after": change.after._asdict()}
