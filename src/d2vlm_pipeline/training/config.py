"""Typed configuration of a training phase."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig


class OptimConfig(StrictModel):
    """AdamW with linear warm-up, then a half cosine to ``final_share`` of the peak."""

    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.02, ge=0)
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    final_share: float = Field(default=0.05, ge=0, le=1)
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: PositiveFloat = 1.0


class TrainConfig(StrictModel):
    """One phase: how long, in what portions, with what loss.

    ``branches_per_clip`` bounds how many questions train behind one prefix in one step; which ones is drawn
    anew each time the clip comes up. ``borrowed_absent``: questions of other clips that a clip gets as
    examples of what does not happen.
    """

    seed: int = Field(default=0, ge=0)
    steps: PositiveInt = 1000
    clips_per_step: PositiveInt = 4
    branches_per_clip: PositiveInt = 8
    borrowed_absent: int = Field(default=0, ge=0)
    threads: PositiveInt = 2
    log_every: PositiveInt = 20
    optim: OptimConfig = OptimConfig()
    sft: SFTConfig = SFTConfig()
    fpo: FPOConfig = FPOConfig()
