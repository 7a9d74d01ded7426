"""Vocabulary: time, tasks, and the records that every part shares."""

from d2vlm_pipeline.timeline.interval import Interval
from d2vlm_pipeline.timeline.jsonl import LineError, dump_jsonl, read_jsonl, scan_jsonl, scan_lines
from d2vlm_pipeline.timeline.prediction import (
    EvidenceSegment,
    ModelRef,
    PredictedInterval,
    Prediction,
    TextSegment,
)
from d2vlm_pipeline.timeline.preference import AXES, Axis, FactorRecord, PreferencePair
from d2vlm_pipeline.timeline.response import (
    EVI,
    EVI_END,
    GroundedResponse,
    Halves,
    ResponseError,
    parse_response,
    split_answer,
    split_response,
)
from d2vlm_pipeline.timeline.sample import Event, Question, Sample
from d2vlm_pipeline.timeline.sampling import SamplingPolicy
from d2vlm_pipeline.timeline.tasks import (
    CAPTION_TASKS,
    COMPLEX_TASKS,
    GROUNDED_TASKS,
    GROUNDING_TASKS,
    MCQ_TASKS,
    REFERRING_TASKS,
    TASKS,
)
from d2vlm_pipeline.timeline.timebase import TimeBase

__all__ = [
    "AXES",
    "CAPTION_TASKS",
    "COMPLEX_TASKS",
    "EVI",
    "EVI_END",
    "GROUNDED_TASKS",
    "GROUNDING_TASKS",
    "MCQ_TASKS",
    "REFERRING_TASKS",
    "TASKS",
    "Axis",
    "Event",
    "EvidenceSegment",
    "FactorRecord",
    "GroundedResponse",
    "Halves",
    "Interval",
    "LineError",
    "ModelRef",
    "PredictedInterval",
    "Prediction",
    "PreferencePair",
    "Question",
    "ResponseError",
    "Sample",
    "SamplingPolicy",
    "TextSegment",
    "TimeBase",
    "dump_jsonl",
    "parse_response",
    "read_jsonl",
    "scan_jsonl",
    "scan_lines",
    "split_answer",
    "split_response",
]
