"""Studies of a model beyond its scores: calibration, faithfulness, consistency in time, robustness, cost."""

from d2vlm_pipeline.evaluation.studies.config import StudiesConfig
from d2vlm_pipeline.evaluation.studies.records import Curve, Figure, Point, Studies, Study

__all__ = ["Curve", "Figure", "Point", "Studies", "StudiesConfig", "Study"]
