"""Typed configuration of the objectives. Sources: the paper and the official code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import Axis

LabelKind = Literal["hard", "soft_seconds", "soft_frames"]


class SFTConfig(StrictModel):
    """Token cross-entropy + grounding + consistency.

    Attributes:
        labels: what a frame should answer to an event. ``hard``: 1 where at least half of the frame's display
            span lies in the event (the paper's binary labels); ``soft_seconds``: ``soft_base``^(−distance in
            seconds); ``soft_frames``: the official code's ``soft_base``^(−distance in frames).
        ground_absent: where the event asked for does not occur, the state that declines it is grounded to
        no frame at
            all (neither paper nor official code gives such a query a target).
        grounding_mean: what the grounding loss is a mean over. ``responses``: rows within a response, then
            responses, as the official code does; ``rows``: all rows alike, so that an answer about four
            events weighs as much as four answers about one.
        grounding_weight: of the mean binary cross-entropy over evidence rows and frames (paper 1,
            official 10).
        consistency_weight: of the mean |query − query| between the two halves (paper 1, official 10).
    """

    labels: LabelKind = "hard"
    ground_absent: bool = True
    soft_base: float = Field(default=2.0, gt=1)
    grounding_mean: Literal["responses", "rows"] = "responses"
    grounding_weight: float = Field(default=2.0, ge=0)
    consistency_weight: float = Field(default=0.5, ge=0)


class AxisWeights(StrictModel):
    """How much a pair weighs in the preference loss, by the axis of truth that it corrupts.

    A pair of several factors weighs their mean.
    """

    event_set: float = Field(default=1.0, ge=0)
    boundaries: float = Field(default=1.0, ge=0)
    text: float = Field(default=1.0, ge=0)
    option: float = Field(default=1.0, ge=0)

    def of(self, axes: Sequence[Axis]) -> float:
        """Weight of a pair whose factors corrupt these axes."""
        return sum(float(getattr(self, axis)) for axis in axes) / len(axes)


class FPOConfig(StrictModel):
    """−log σ(m) of the margin m between chosen (c) and rejected (r) log-likelihood, grounding included.

    m = β_text·(Δtext − Δtext_ref) + β_grounding·(Δg − Δg_ref) − target_margin, Δx = x(c) − x(r); text is
    Σ log p(token), g is Σ log p_g over evidence rows and frames (method.md §4.1, §4.2).

    Attributes:
        beta_text: scale of the text part of the margin (official code: 0.1 for both parts).
        beta_grounding: scale of the grounding part.
        grounding_norm: what each evidence row's log p_g is divided by. ``sum``: nothing (official code: the
            margin grows with the clip); ``frames``: the clip's frames; ``differing``: only frames count whose
            summed labels differ between chosen and rejected, divided by their number, so that a small
            corruption of a long clip is not diluted (method.md §10, §11).
        halves: evidence rows that count: of the evidence half alone, or of both halves (paper and code).
        official_likelihood: log(y·σ + (1−y)(1−σ) + 1e−10) of the official code instead of the stable
            y·logσ(z) + (1−y)·logσ(−z).
        reference: subtract the margin of the frozen model that the phase starts from (π_ref of DPO,
            arXiv 2305.18290, eq. 7); paper and code have none.
        target_margin: margin to exceed (γ of SimPO, arXiv 2405.14734, eq. 6); 0 in the official code.
        axis_weights: weight of a pair by what it corrupts.
        weight: of the preference loss beside the SFT loss on the chosen response.
    """

    beta_text: float = Field(default=0.1, gt=0)
    beta_grounding: float = Field(default=0.1, gt=0)
    grounding_norm: Literal["sum", "frames", "differing"] = "frames"
    halves: Literal["evidence", "both"] = "both"
    official_likelihood: bool = False
    reference: bool = False
    target_margin: float = Field(default=0.0, ge=0)
    axis_weights: AxisWeights = AxisWeights()
    weight: float = Field(default=1.0, ge=0)


OFFICIAL_SFT = SFTConfig(
    labels="soft_frames", ground_absent=False, soft_base=2.0, grounding_weight=10.0, consistency_weight=10.0
)
OFFICIAL_FPO = FPOConfig(
    beta_text=0.1, beta_grounding=0.1, grounding_norm="sum", official_likelihood=True, weight=1.0
)
