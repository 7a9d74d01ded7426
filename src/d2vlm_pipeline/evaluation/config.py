"""What is scored, and how finely."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import TASKS

Threshold = Annotated[float, Field(gt=0, le=1)]


class EvaluationConfig(StrictModel):
    """Scoring under the strict protocol: every sample stays in its denominator.

    Attributes:
        tasks: task codes to score; samples of other tasks are left out.
        thresholds: temporal IoU thresholds, rising; metrics without `@` are means over them.
        resamples: bootstrap draws of clips behind every interval.
        confidence: coverage of the intervals.
        seed: of the bootstrap, the `chance` system and the shuffled-caption control.
        caption_similarity: whether to embed captions (a sentence encoder on the CPU).
    """

    tasks: tuple[str, ...] = TASKS
    thresholds: tuple[Threshold, ...] = (0.1, 0.3, 0.5, 0.7)
    resamples: int = Field(default=1000, ge=1)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    caption_similarity: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown:
            raise ValueError(f"unknown tasks {unknown}; known are {' '.join(TASKS)}")
        if not self.thresholds or list(self.thresholds) != sorted(set(self.thresholds)):
            raise ValueError(f"thresholds must rise, got {list(self.thresholds)}")
        return self
