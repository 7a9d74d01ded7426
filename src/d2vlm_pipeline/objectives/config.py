"""Typed configuration of the objectives. Sources: the paper and the official code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel

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


class FPOConfig(StrictModel):
    """−log σ of the margin between chosen and rejected log-likelihood, grounding included.

    Attributes:
        beta_text: scale of the text part of the margin.
        beta_grounding: scale of the grounding part.
        grounding_mean: divide each response's grounding log-probability by its number of frames, so that the
            margin does not grow with the clip (the official code sums).
        official_likelihood: log(y·σ + (1−y)(1−σ) + 1e−10) of the official code instead of the stable
            y·logσ(z) + (1−y)·logσ(−z).
        weight: of the preference loss beside the SFT loss on the chosen response.
    """

    beta_text: float = Field(default=0.1, gt=0)
    beta_grounding: float = Field(default=0.1, gt=0)
    grounding_mean: bool = True
    official_likelihood: bool = False
    weight: float = Field(default=1.0, ge=0)


OFFICIAL_SFT = SFTConfig(
    labels="soft_frames", ground_absent=False, soft_base=2.0, grounding_weight=10.0, consistency_weight=10.0
)
OFFICIAL_FPO = FPOConfig(
    beta_text=0.1, beta_grounding=0.1, grounding_mean=False, official_likelihood=True, weight=1.0
)
