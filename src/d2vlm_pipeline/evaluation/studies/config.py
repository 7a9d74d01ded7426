"""Which studies run, on how much, and what is asked of them."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel

StudyName = Literal[
    "calibration", "abstention", "faithfulness", "time", "robustness", "forgetting", "cost"
]
STUDIES: tuple[StudyName, ...] = get_args(StudyName)


class CalibrationConfig(StrictModel):
    """Confidence against IoU.

    Attributes:
        bins: of equal mass.
        hit_iou: an interval is right from this IoU on.
        calibrator: what is fitted on the calibration split.
        split: the split that it is fitted on, and nothing else is.
    """

    bins: PositiveInt = 15
    hit_iou: float = Field(default=0.5, gt=0, le=1)
    calibrator: Literal["platt", "isotonic"] = "platt"
    split: str = "calib"


class FaithfulnessConfig(StrictModel):
    """Masked evidence against as many masked frames elsewhere.

    Attributes:
        clips: how many held-out clips are asked about, a seeded draw.
        required_points: how much more often answers must change, all of them and those with options.
    """

    clips: PositiveInt = 48
    required_points: float = 15.0


class TimeConfig(StrictModel):
    """Whether intervals follow when a clip is shifted, padded, sped up or reversed.

    Attributes:
        tasks: whose answer is one interval.
        shift_s, pad_s: seconds cut off, and put before, the beginning.
        speed: how many times as fast.
        near_s: an interval has followed where both ends are at most so far from where they should be.
        directed: words of a question whose meaning has a direction in time: backwards it asks for something
            else, which the clip need not show.
    """

    clips: PositiveInt = 36
    tasks: tuple[str, ...] = ("tvg", "epm", "vhd", "gvq")
    shift_s: PositiveFloat = 3.0
    pad_s: PositiveFloat = 3.0
    speed: int = Field(default=2, ge=2)
    near_s: tuple[PositiveFloat, ...] = Field(default=(0.5, 1.0), min_length=1)
    directed: tuple[str, ...] = ("enter", "leave", "cross", "grow", "shrink", "after", "before")


class RobustnessConfig(StrictModel):
    """Score against the share of frames that are lost or noisy.

    Attributes:
        shares: rising, above 0.
        headline_share: the share whose loss sums the study up; one of `shares`.
        noise_scale: standard deviation of the noise, in that of each channel over the clip.
    """

    clips: PositiveInt = 24
    tasks: tuple[str, ...] = ("tvg", "tal", "gvq", "mcq")
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1, 0.25, 0.5)
    headline_share: float = 0.25
    noise_scale: PositiveFloat = 3.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.shares or list(self.shares) != sorted(set(self.shares)):
            raise ValueError(f"shares must rise, got {list(self.shares)}")
        if self.headline_share not in self.shares:
            raise ValueError(f"headline_share {self.headline_share:g} is not among the shares")
        return self


class StudiesConfig(StrictModel):
    """All studies of the evaluation.

    Attributes:
        run: which ones.
        seed: of the draw of clips, of control frames, lost frames and noise.
        cost_clips: clips whose questions are timed, one clip's questions together.
        start_tokens: longest answer of the model before training, which may never end by itself.
    """

    run: tuple[StudyName, ...] = STUDIES
    seed: NonNegativeInt = 0
    calibration: CalibrationConfig = CalibrationConfig()
    faithfulness: FaithfulnessConfig = FaithfulnessConfig()
    time: TimeConfig = TimeConfig()
    robustness: RobustnessConfig = RobustnessConfig()
    cost_clips: PositiveInt = 12
    start_tokens: PositiveInt = 32
