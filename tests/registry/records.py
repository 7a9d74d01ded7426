"""Dossiers, policies and metrics.json records to decide on."""

from typing import Any

from d2vlm_pipeline.annotations.contamination import Contamination
from d2vlm_pipeline.evaluation.paired import ClipSums
from d2vlm_pipeline.evaluation.slices import SliceScore
from d2vlm_pipeline.preferences.accuracy import FactorAccuracy
from d2vlm_pipeline.registry import Dossier, Policy, Scores, policy_of, scores_of
from d2vlm_pipeline.registry.dossier import Calibrated, Cost, DataChecks

DATA = {"world": "w1", "samples": "s1"}
CLIPS = tuple(f"clip-{k}.mp4" for k in range(10))


def score(value: float | None, unparsed: int = 0, n: int = 100) -> dict:
    return {"value": value, "low": value, "high": value, "n": n, "unparsed": unparsed}


def metrics(
    tvg: float | None = 60.0,
    dvc: float = 40.0,
    unparsed: int = 0,
    data: dict | None = None,
    system: str = "fpo",
    n: int = 100,
) -> dict:
    tasks = {
        "tvg": {"f1": score(tvg, n=n), "miou": score(50.0, n=n)},
        "dvc": {"cap_f1": score(dvc, unparsed)},
    }
    return {
        "schema": 1,
        "data": DATA if data is None else data,
        "scores": {system: {"test-iid": tasks}, "prior": {"test-iid": {"tvg": {"f1": score(20.0)}}}},
    }


def scores(**changes) -> Scores:
    return scores_of(metrics(**changes), changes.get("system", "fpo"))


def sums(value: float, clips: tuple[str, ...] = CLIPS) -> ClipSums:
    """Ten questions a clip, all clips alike: every draw of clips gives the value."""
    return ClipSums(combine="ratio", clips=clips, sums=((value / 10, 10.0),) * len(clips))


def dossier(
    slice_value: float = 50.0,
    slice_n: int = 20,
    ece: float = 5.0,
    seconds: float = 0.02,
    peak_mb: float = 1500.0,
    wording: int = 80,
    failures: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
    found: tuple[str, ...] = (),
    clips: tuple[str, ...] = CLIPS,
    without: tuple[str, ...] = (),
    **changes: Any,
) -> Dossier:
    """Everything measured, and good enough for `GATES`; `without` names what was not measured."""
    of_scores = scores(**changes)
    slices = {"duration": {"< 20 s": SliceScore(value=slice_value, n=slice_n)}, "events": {}}
    captions = sums(changes.get("dvc", 40.0), clips)
    evidence = {
        "clip_sums": {"test-iid": {"dvc": {"cap_f1": captions}}},
        "slices": {"test-iid": {"tvg": {"f1": slices}}},
        "calibration": Calibrated(before=12.0, after=ece, n=50),
        "cost": Cost(seconds=seconds, peak_mb=peak_mb, n=30),
        "pair_accuracy": {
            "interval": FactorAccuracy(right=95, n=100),
            "wording": FactorAccuracy(right=wording, n=100),
        },
        "data_checks": (DataChecks(dataset="samples", checks=7, errors=failures, warnings=warnings),),
        "contamination": Contamination(
            clips=len(clips), unseen=0, sources={"preference": 20, "train": 30}, found=found
        ),
    }
    kept = {name: value for name, value in evidence.items() if name not in without}
    return Dossier(system=of_scores.system, scores=of_scores, **kept)


FLOOR = {"gate": "floor", "split": "test-iid", "task": "tvg", "metric": "f1", "limit": 30.0}
UNPARSED = {"gate": "unparsed_share", "split": "test-iid", "task": "*", "limit": 5.0}
REGRESSION = {"gate": "no_regression", "split": "test-iid", "task": "dvc", "metric": "cap_f1", "limit": 3.0}
MIN_N = {"gate": "min_n", "split": "test-iid", "task": "tvg", "n": 50}
SLICES = {**FLOOR, "gate": "slice_floor", "by": "duration", "limit": 20.0}
CALIBRATION = {"gate": "calibration", "limit": 10.0}
LATENCY = {"gate": "latency", "limit_s": 0.1}
MEMORY = {"gate": "memory", "limit_mb": 2000.0}
PREFERENCE = {"gate": "preference_accuracy", "factor": "wording", "limit": 70.0}
DATA_GATES = {"gate": "data_gates"}
CONTAMINATION = {"gate": "no_contamination"}

GATES = (
    FLOOR,
    SLICES,
    UNPARSED,
    MIN_N,
    REGRESSION,
    CALIBRATION,
    LATENCY,
    MEMORY,
    PREFERENCE,
    DATA_GATES,
    CONTAMINATION,
)
"""One of every kind."""


def policy(*gates: dict, **changes) -> Policy:
    record = {
        "headline": {"split": "test-iid", "task": "tvg", "metric": "f1"},
        "gates": list(gates or (FLOOR, UNPARSED, REGRESSION)),
        **changes,
    }
    return policy_of(record, "promotion.yml")
