"""Typed configuration of the demo world; the numbers of tier L1 are the defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from d2vlm_pipeline.artifacts import StrictModel, digest_json

# Raised whenever the same configuration would render other pixels or ask other questions.
WORLD_VERSION = 2


class SplitSizes(StrictModel):
    """Clips per split; a clip belongs to exactly one."""

    train: PositiveInt = 360
    val: PositiveInt = 24
    calib: PositiveInt = 24
    test_iid: PositiveInt = 72

    @property
    def by_name(self) -> dict[str, int]:
        """Split name, as written in samples, to clip count."""
        return {"train": self.train, "val": self.val, "calib": self.calib, "test-iid": self.test_iid}

    @property
    def total(self) -> int:
        """All clips of the world."""
        return sum(self.by_name.values())


class WorldConfig(StrictModel):
    """One rendered world: how many clips, how long, how hard. A pure function of these values."""

    tier: Literal["L1"] = "L1"
    seed: int = Field(default=7, ge=0)
    splits: SplitSizes = SplitSizes()
    min_duration_s: float = Field(default=16.0, gt=0)
    max_duration_s: float = Field(default=40.0, gt=0)
    min_events: int = Field(default=3, ge=3)
    max_events: int = Field(default=5, le=5)
    event_median_s: float = Field(default=4.0, gt=0)
    event_sigma: float = Field(default=0.35, ge=0)
    min_event_s: float = Field(default=2.0, gt=0)
    max_event_s: float = Field(default=10.0, gt=0)
    repeat_share: float = Field(default=0.25, ge=0, le=1)
    overlap_share: float = Field(default=0.30, ge=0, le=1)
    nested_share: float = Field(default=0.15, ge=0, le=1)
    absent_share: float = Field(default=0.10, ge=0, lt=1)
    sizes: tuple[tuple[int, int], ...] = ((192, 144), (240, 180), (320, 240))
    rates: tuple[float, ...] = (8.0, 10.0, 12.0)
    crf: tuple[int, int] = (23, 35)

    @property
    def digest(self) -> str:
        """Identity of the world: version and every value above."""
        return digest_json({"version": WORLD_VERSION, **self.model_dump(mode="json")})
