"""Nodes that stand for the real ones: same kinds of data, no science."""

from collections.abc import Iterator
from typing import Any

from d2vlm_pipeline.artifacts import StrictModel, UserError
from orchestration.things import Point


class PointsConfig(StrictModel):
    count: int
    bad_row: int | None = None


class OptimiserConfig(StrictModel):
    rate: float = 0.1


class TrainConfig(StrictModel):
    steps: int
    optimiser: OptimiserConfig = OptimiserConfig()
    checkpoints: dict[str, str] | None = None


def read_points(config: PointsConfig) -> Iterator[Point]:
    return _points(config)


def train(points: list[Point], config: TrainConfig) -> list[str]:
    return [f"{config.steps}*{point.x}" for point in points]


def tune(model: list[str], points: list[Point]) -> list[str]:
    return [f"{line}+{len(points)}" for line in model]


def score(model: list[str]) -> dict[str, Any]:
    task = {"tvg": {"f1": {"value": 61.5, "low": 55.0, "high": 66.0, "n": len(model), "unparsed": 0}}}
    return {"schema": 1, "data": {}, "scores": {name: {"test-iid": task} for name in ("prior", "sft", "fpo")}}


def promote(metrics: dict[str, Any]) -> dict[str, str]:
    return {"reason": f"alias champion moves: {len(metrics['scores'])} systems scored"}


def _points(config: PointsConfig) -> Iterator[Point]:
    for x in range(config.count):
        if x == config.bad_row:
            raise UserError(f"points.csv:{x}: no such point; drop the row")
        yield Point(x=x)
