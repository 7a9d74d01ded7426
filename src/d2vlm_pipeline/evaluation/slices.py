"""A score over the questions that are alike: clips of about one length, answers of about as many events."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.evaluation.contributions import Contribution
from d2vlm_pipeline.timeline import Sample

Dimension = Literal["duration", "events"]

Edge = Annotated[float, Field(gt=0)]


class SliceConfig(StrictModel):
    """Where slices begin.

    Attributes:
        duration_edges_s: clip lengths in seconds, rising: [20, 40] makes `< 20 s`, `20-40 s` and `≥ 40 s`.
        event_edges: numbers of events, rising: [2, 4] makes `0-1`, `2-3` and `≥ 4`.
    """

    duration_edges_s: tuple[Edge, ...] = (20.0, 40.0)
    event_edges: tuple[PositiveInt, ...] = (2, 4)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name, edges in (("duration_edges_s", self.duration_edges_s), ("event_edges", self.event_edges)):
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"{name} must rise, got {list(edges)}")
        return self

    def duration_slice(self, duration_s: float) -> str:
        """Name of the slice of a clip so long."""
        edges = self.duration_edges_s
        place = bisect_right(edges, duration_s)
        if not edges:
            return "all"
        if place == 0:
            return f"< {edges[0]:g} s"
        return f"≥ {edges[-1]:g} s" if place == len(edges) else f"{edges[place - 1]:g}-{edges[place]:g} s"

    def event_slice(self, events: int) -> str:
        """Name of the slice of an answer with so many events."""
        firsts = (0, *self.event_edges)
        place = bisect_right(firsts, events)
        first = firsts[place - 1]
        if place == len(firsts):
            return f"≥ {first}"
        return f"{first}" if firsts[place] == first + 1 else f"{first}-{firsts[place] - 1}"


class SliceScore(StrictModel):
    """A score over one slice, percent, and how many questions it is over."""

    value: float
    n: NonNegativeInt


Slices = dict[Dimension, dict[str, SliceScore]]
"""By dimension and name of the slice."""


def slice_scores(
    contribution: Contribution,
    samples: Mapping[str, Sample],
    durations_s: Mapping[str, float],
    config: SliceConfig,
) -> Slices:
    """One metric over every slice that has a question.

    Args:
        contribution: the metric, a row for each sample.
        samples: by id.
        durations_s: of each video.
        config: where slices begin.
    """
    of_rows: dict[Dimension, list[str]] = {
        "duration": [config.duration_slice(durations_s[samples[id_].video]) for id_ in contribution.ids],
        "events": [config.event_slice(len(samples[id_].events)) for id_ in contribution.ids],
    }
    return {dimension: _scored(contribution, names) for dimension, names in of_rows.items()}


def _scored(contribution: Contribution, names: Sequence[str]) -> dict[str, SliceScore]:
    names_R = np.array(names)
    found = {}
    for name in sorted(set(names)):
        rows_RS = contribution.stats_RS[names_R == name]
        value = 100.0 * float(contribution.combine(rows_RS.sum(axis=0)))
        found[name] = SliceScore(value=round(value, 4), n=len(rows_RS))
    return found
