"""What is logged of a phase: means and quantiles over stretches of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.engine import Engine

Watch = Callable[[Sequence[dict[str, float]]], Sequence[str]]
"""From the points so far, the last one new, to warnings about it."""

OnPoint = Callable[[Mapping[str, float]], None]
"""Takes a point as soon as it is made."""

_QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
# Every worker has the whole of it; of other figures each has its part.
_NORM = "grad_norm"


@dataclass(frozen=True)
class Curve:
    """Logged means and quantiles: one entry per ``log_every`` steps."""

    points: list[dict[str, float]]


@dataclass
class Log:
    """The points so far, and this worker's part of the steps behind the last one."""

    points: list[dict[str, float]] = field(default_factory=list)
    window: list[dict[str, Tensor]] = field(default_factory=list)
    spreads: list[dict[str, Tensor]] = field(default_factory=list)

    def add(self, result: StepResult, norm: Tensor) -> None:
        """Note a step."""
        self.window.append({"loss": result.loss.detach(), _NORM: norm, **result.figures})
        self.spreads.append(result.spreads)

    def close(self, engine: Engine[Any], at: int, rate: float) -> None:
        """Put the stretch up to this step together, over all workers, as a point."""
        means = self._means(engine)
        quantiles = _quantiles(engine.gather(_joined(self.spreads)))
        self.points.append({"step": float(at), "lr": rate, **means, **quantiles})
        self.window.clear()
        self.spreads.clear()

    def _means(self, engine: Engine[Any]) -> dict[str, float]:
        names = list(self.window[0])
        own = [
            torch.stack([figures[name].detach().float().cpu() for figures in self.window]).mean()
            for name in names
        ]
        found = dict(zip(names, engine.total(torch.stack(own)).tolist(), strict=True))
        return found | {_NORM: float(own[names.index(_NORM)])}


def _joined(window: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """All values of every spread."""
    return {
        name: torch.cat(
            [spreads[name].detach().float().flatten().cpu() for spreads in window if name in spreads]
        )
        for name in sorted({name for spreads in window for name in spreads})
    }


def _quantiles(of_workers: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Mean and quantiles of every spread; a spread without values says nothing."""
    found: dict[str, float] = {}
    for name, values in _joined(of_workers).items():
        if len(values):
            found[name] = float(values.mean())
            found |= {f"{name}_{tag}": float(values.quantile(share)) for tag, share in _QUANTILES.items()}
    return found
