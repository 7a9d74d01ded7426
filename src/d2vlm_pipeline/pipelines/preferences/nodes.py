"""Training samples → preference pairs whose cause is known, and what the pairs give away."""

from __future__ import annotations

import logging
from typing import Any

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.artifacts import UserError, track
from d2vlm_pipeline.orchestration.ray_pool import spreading
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.preferences import (
    AuditConfig,
    PairAudit,
    PairCheck,
    PairStatistics,
    PreferenceConfig,
    judge,
    spread_audit,
    spread_checks,
    spread_synthesis,
)
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.video import VideoRow

_LOGGER = logging.getLogger(__name__)


def synthesize(
    samples: list[Sample],
    rows: list[VideoRow],
    config: PreferenceConfig,
    compute: ComputeConfig,
    ray: RaySettings,
) -> tuple[list[PreferencePair], dict[str, Any]]:
    """Checked pairs of the training split, and what was made, skipped and held back."""
    train = [sample for sample in samples if sample.split == "train"]
    pairs, statistics = list[PreferencePair](), PairStatistics()
    with spreading(ray, "preferences", compute.workers, records=len(train)) as spread:
        made = spread_synthesis(train, durations_of(rows), config, spread)
        for some, counted in track(made, "synthesise pairs", unit="portion"):
            pairs += some
            statistics.merge(counted)
    return pairs, statistics.record()


def audit_pairs(
    samples: list[Sample],
    rows: list[VideoRow],
    pairs: list[PreferencePair],
    config: AuditConfig,
    compute: ComputeConfig,
    ray: RaySettings,
) -> tuple[dict[str, Any], bytes]:
    """Factors, magnitudes, biases, and what is told apart by text alone; as numbers and as a picture."""
    from d2vlm_pipeline.preferences.audit_plots import render_audit

    audit = PairAudit(config)
    with spreading(ray, "preferences", compute.workers, records=len(pairs)) as spread:
        parts = spread_audit(pairs, samples, durations_of(rows), config, spread)
        for part in track(parts, "audit pairs", unit="portion"):
            audit.merge(part)
        record = audit.record(spread)
    return record, render_audit(record)


def judge_audit(record: dict[str, Any], config: AuditConfig) -> None:
    """Warn of what is beyond its limit, and end the run where the limit says so.

    Raises:
        UserError: a value is beyond a limit that stops.
    """
    findings = judge(record, config.limits)
    for finding in findings:
        _LOGGER.warning("preference audit: %s is %s, above %s", finding.name, finding.value, finding.limit)
    stops = [finding for finding in findings if finding.stops]
    if stops:
        raise UserError(
            f"preference audit: {stops[0].name} is {stops[0].value}, above {stops[0].limit}; change "
            "preferences.weights or magnitudes, or the limit in preference_audit.limits"
        )


def gate_pairs(
    pairs: list[PreferencePair],
    samples: list[Sample],
    rows: list[VideoRow],
    audit: dict[str, Any],
    config: AuditConfig,
    compute: ComputeConfig,
    ray: RaySettings,
) -> tuple[list[PairCheck], list[PreferencePair]]:
    """Hold the audit against its limits, the pairs against their samples.

    They go on if the guard of the first output lets it through.

    Raises:
        UserError: a value of the audit is beyond a limit that stops.
    """
    judge_audit(audit, config)
    with spreading(ray, "preferences", compute.workers, records=len(pairs)) as spread:
        return list(spread_checks(pairs, samples, durations_of(rows), spread)), pairs
