"""The dossier: what promotion decides on, put together from all that was measured of the FPO model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.evaluation.studies import Studies
from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, LeaveAsIs
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.registry.dossier import Calibrated, Cost, Dossier
from d2vlm_pipeline.registry.scores import scores_of
from d2vlm_pipeline.timeline import Prediction

CANDIDATE = "fpo"
"""The system that can be promoted."""


def assemble_dossier(
    metrics: dict[str, Any],
    predictions: list[Prediction] | None,
    clip_sums: dict[str, Any],
    studies: dict[str, Any] | None,
    pair_accuracy: dict[str, Any] | None,
    contamination: dict[str, Any],
    data_checks: list[dict[str, Any]],
    answering: AnswerConfig,
) -> dict[str, Any] | LeaveAsIs:
    """All that was measured of the candidate; where it was not asked there is nothing to decide on."""
    if CANDIDATE not in answering.systems or not predictions:
        return LeaveAsIs()
    model = predictions[0].model.digest
    record = Dossier.model_validate(
        {
            "system": CANDIDATE,
            "scores": scores_of(metrics, CANDIDATE),
            "model": model,
            "clip_sums": clip_sums["sums"].get(CANDIDATE),
            "slices": clip_sums["slices"].get(CANDIDATE),
            "pair_accuracy": None if pair_accuracy is None else pair_accuracy["factors"],
            "data_checks": data_checks,
            "contamination": contamination,
            **_studied(studies, model),
        }
    )
    return record.model_dump(mode="json")


def dossier_pipeline() -> Pipeline:
    """What promotion reads."""
    measured = ["clip_sums", "studies", "pair_accuracy", "contamination", "data_checks"]
    return Pipeline(
        [
            Node(
                assemble_dossier,
                ["metrics", "fpo_predictions", *measured, "params:answering"],
                "dossier",
                name="assemble_dossier",
                tags=["cpu", WITHOUT_OPTIONAL],
            )
        ]
    )


def _studied(record: dict[str, Any] | None, model: str) -> dict[str, Calibrated | Cost]:
    """What studies of this very model found, of those that were run."""
    if record is None:
        return {}
    studies = Studies.model_validate(record)
    if (studies.system, studies.model) != (CANDIDATE, model):
        return {}
    figures = {name: study.figures for name, study in studies.studies.items()}
    found: dict[str, Calibrated | Cost] = {}
    before, after = _values(figures.get("calibration", {}), "ece_before", "ece_after")
    if before is not None and after is not None:
        n = figures["calibration"]["ece_after"].n
        found["calibration"] = Calibrated(before=before, after=after, n=n)
    seconds, peak_mb = _values(figures.get("cost", {}), "wall", "memory")
    if seconds is not None and peak_mb is not None:
        found["cost"] = Cost(seconds=seconds, peak_mb=peak_mb, n=figures["cost"]["wall"].n)
    return found


def _values(figures: Mapping[str, Any], *names: str) -> list[float | None]:
    return [figures[name].value if name in figures else None for name in names]
