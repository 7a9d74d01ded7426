"""Pairs of a right response and one that is wrong in recorded factors."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline.response import GroundedResponse
from d2vlm_pipeline.timeline.sample import NonBlank

Axis = Literal["event_set", "boundaries", "text", "option"]
AXES: tuple[Axis, ...] = ("event_set", "boundaries", "text", "option")
"""The kinds of truth that an operator can corrupt."""


class FactorRecord(StrictModel):
    """What one operator corrupted: which axis, by how much, at which events (indices into the sample's)."""

    operator: NonBlank
    axis: Axis
    magnitude: dict[str, int | float | str] = Field(default_factory=dict)
    event_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()


def _is_first(epoch: int) -> bool:
    return epoch == 0


class PreferencePair(StrictModel):
    """Chosen and rejected response to one sample, with the provenance of the difference.

    `epoch` tells sets of pairs apart that were drawn for one time round each; the first is not written out.
    """

    id: NonBlank
    sample_id: NonBlank
    chosen: GroundedResponse
    rejected: GroundedResponse
    factors: tuple[FactorRecord, ...] = Field(min_length=1)
    seed: int
    operator_version: NonBlank
    epoch: int = Field(default=0, ge=0, exclude_if=_is_first)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same response")
        return self
