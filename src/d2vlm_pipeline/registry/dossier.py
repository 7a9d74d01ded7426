"""What promotion decides on: all that was measured of one system."""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt

from d2vlm_pipeline.annotations.contamination import Contamination
from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.evaluation.measured import SlicesByMetric, SumsByMetric
from d2vlm_pipeline.preferences.accuracy import Factor, FactorAccuracy
from d2vlm_pipeline.registry.scores import Scores


class Calibrated(StrictModel):
    """Expected calibration error of predicted intervals, percent, before and after refitting elsewhere."""

    before: NonNegativeFloat
    after: NonNegativeFloat
    n: NonNegativeInt


class Cost(StrictModel):
    """What an answer costs on the machine that measured it: seconds a question, megabytes at the peak."""

    seconds: NonNegativeFloat
    peak_mb: NonNegativeFloat
    n: NonNegativeInt


class DataChecks(StrictModel):
    """What the expectations on one dataset found.

    Attributes:
        checks: how many there are.
        errors, warnings: a line for each that does not hold, by what its failure means.
    """

    dataset: str
    checks: NonNegativeInt
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Dossier(StrictModel):
    """The evidence about one system. What was not measured is None, and no figure stands in for it.

    Attributes:
        system: whose evidence it is.
        scores: its scores, and the digests of the data they rest on.
        model: content digest of the model that was measured; promotion takes no other.
        clip_sums: by split, task and metric, what every clip adds to the score.
        slices: by split, task, metric, dimension and name of the slice.
        calibration: how sure it is, held against how often it is right.
        cost: seconds and memory.
        pair_accuracy: by factor, how often it finds the truth likelier; a factor without pairs is missing.
        data_checks: what guards found in the data.
        contamination: footage of the scored splits in what models were trained on.
    """

    system: str
    scores: Scores
    model: str | None = None
    clip_sums: SumsByMetric | None = None
    slices: SlicesByMetric | None = None
    calibration: Calibrated | None = None
    cost: Cost | None = None
    pair_accuracy: dict[Factor, FactorAccuracy] | None = None
    data_checks: tuple[DataChecks, ...] | None = None
    contamination: Contamination | None = None
