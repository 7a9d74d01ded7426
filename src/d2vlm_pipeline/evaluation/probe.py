"""A linear probe on stored features: do they carry what the demo world's questions ask?

Closed-form ridge regression on one-hot labels, fitted on clips of the training split and read on all others.
Class and colour are read from the maximum and the mean over a frame's cells, the place from the cells one by
one. Frames are those in which one annotated object is alone, opaque and wholly inside.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.video.world import ClipPlan
from d2vlm_pipeline.video.world.certificate import LoneObject, lone_object

CLEARANCE = 0.04
"""A centre closer than this share of the frame to a line of the 3×3 grid has no cell to speak of: the objects
are larger than a cell, and the world's two lanes run along the lines."""

_FRAMES_PER_CLIP = 8
_RIDGE = 100.0

Labelled = list[tuple[np.ndarray, str]]


class Reading(NamedTuple):
    """Share of held-out frames read right, and how many frames taught and examined the probe."""

    accuracy: float
    train: int
    held_out: int


class _Frames:
    """Feature vectors with their labels, by what is read and by whether the clip is for training."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bool], Labelled] = {}

    def add(self, attribute: str, is_train: bool, features: np.ndarray, label: str) -> None:
        self._rows.setdefault((attribute, is_train), []).append((features, label))

    def read(self, attribute: str) -> Reading:
        train, held_out = (self._rows.get((attribute, is_train), []) for is_train in (True, False))
        accuracy = ridge_accuracy(train, held_out) if train and held_out else 0.0
        return Reading(accuracy, len(train), len(held_out))


def probe_features(plans: Sequence[ClipPlan], clips: ClipSource) -> dict[str, Reading]:
    """How well a linear probe reads `class`, `colour` and `cell` of the object on held-out clips."""
    frames = _Frames()
    for plan in plans:
        is_train = plan.split == "train"
        features_TNC, timebase = clips.clip(plan.video)
        found = [
            (index, shown)
            for index, time_s in enumerate(timebase.times_s)
            if (shown := lone_object(plan, time_s)) is not None
        ]
        for index, shown in _some(plan, found):
            cells_NC = features_TNC[index].astype(np.float32)
            pooled = np.concatenate([cells_NC.max(axis=0), cells_NC.mean(axis=0)])
            frames.add("class", is_train, pooled, shown.triple.object_class)
            frames.add("colour", is_train, pooled, shown.triple.colour)
        for index, shown in _some(plan, [row for row in found if row[1].clearance >= CLEARANCE]):
            frames.add("cell", is_train, features_TNC[index].astype(np.float32).ravel(), str(shown.cell))
    return {attribute: frames.read(attribute) for attribute in ("class", "colour", "cell")}


def _some(plan: ClipPlan, found: list[tuple[int, LoneObject]]) -> Iterator[tuple[int, LoneObject]]:
    """A few frames of a clip: neighbours show nearly the same."""
    rng = random.Random(derive_seed(plan.seed, "probe"))
    yield from rng.sample(found, min(_FRAMES_PER_CLIP, len(found)))


def ridge_accuracy(train: Labelled, held_out: Labelled) -> float:
    """Share of held-out labels that ridge regression on standardised features [D] ranks first."""
    train_RD, held_out_RD = (np.stack([features for features, _ in rows]) for rows in (train, held_out))
    mean_D, spread_D = train_RD.mean(axis=0), train_RD.std(axis=0) + 1e-3
    train_RD, held_out_RD = (train_RD - mean_D) / spread_D, (held_out_RD - mean_D) / spread_D
    names = sorted({label for _, label in train})
    targets_RK = np.array([[label == name for name in names] for _, label in train], dtype=np.float32)
    base_K = targets_RK.mean(axis=0)
    scores_RK = held_out_RD @ _ridge(train_RD, targets_RK - base_K) + base_K
    best = [names[index] for index in scores_RK.argmax(axis=1)]
    return float(np.mean([guess == label for guess, (_, label) in zip(best, held_out, strict=True)]))


def _ridge(x_RD: np.ndarray, y_RK: np.ndarray) -> np.ndarray:
    """Weights [D, K]; solved in the smaller of the two spaces."""
    rows, width = x_RD.shape
    if rows < width:
        gram_RR = x_RD @ x_RD.T + _RIDGE * np.eye(rows, dtype=x_RD.dtype)
        return np.asarray(x_RD.T @ np.linalg.solve(gram_RR, y_RK))
    gram_DD = x_RD.T @ x_RD + _RIDGE * np.eye(width, dtype=x_RD.dtype)
    return np.asarray(np.linalg.solve(gram_DD, x_RD.T @ y_RK))
