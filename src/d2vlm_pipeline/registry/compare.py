"""Two measured systems side by side, clip by clip: which differences are more than chance."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from d2vlm_pipeline.evaluation.paired import paired_loss
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client

_PLACE = "report"
_NAME = "dossier.json"


class Gain(NamedTuple):
    """What one system has over another in one score, percent and points.

    Attributes:
        score: `task/metric`.
        gain, low, high: the difference, and the interval of it that a paired bootstrap over clips gives.
    """

    score: str
    before: float
    after: float
    gain: float
    low: float
    high: float

    @property
    def is_more_than_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


def dossier_of(tracking: TrackingConfig, run_id: str) -> Dossier | None:
    """What a run has measured of its candidate; None where it has measured none."""
    client = tracking_client(tracking)
    if not any(file.path == f"{_PLACE}/{_NAME}" for file in client.list_artifacts(run_id, _PLACE)):
        return None
    with TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run_id, f"{_PLACE}/{_NAME}", folder))
        return Dossier.model_validate_json(path.read_bytes())


def paired_gains(
    one: Dossier, other: Dossier, split: str, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> list[Gain]:
    """What `other` has over `one` in every score that both have of the same questions, by name.

    Args:
        one, other: measured on the same split.
        split: which one.
        resamples: draws of the clips.
        confidence: of the intervals, two-sided.
        seed: of the draws.
    """
    before, after = ((dossier.clip_sums or {}).get(split, {}) for dossier in (one, other))
    one_sided = (1.0 + confidence) / 2.0
    gains = []
    for task in sorted(before.keys() & after.keys()):
        for metric in sorted(before[task].keys() & after[task].keys()):
            theirs, ours = before[task][metric], after[task][metric]
            if not ours.is_paired_with(theirs):
                continue
            loss = paired_loss(ours, theirs, resamples, one_sided, seed)
            back = paired_loss(theirs, ours, resamples, one_sided, seed)
            values = theirs.value, ours.value
            gains.append(Gain(f"{task}/{metric}", *values, -loss.points, -loss.upper, back.upper))
    return gains
