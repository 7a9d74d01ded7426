"""Annotations, untrusted: samples in, rejections with file, line, reason and mend out."""

from d2vlm_pipeline.annotations.jsonl import iter_samples, read_samples
from d2vlm_pipeline.annotations.quarantine import (
    QuarantinedVideo,
    QuarantineReport,
    build_quarantine_report,
    quarantined_videos,
)
from d2vlm_pipeline.annotations.rejection import REJECTION_CODES, Rejection, RejectionCode
from d2vlm_pipeline.annotations.splits import check_splits

__all__ = [
    "REJECTION_CODES",
    "QuarantineReport",
    "QuarantinedVideo",
    "Rejection",
    "RejectionCode",
    "build_quarantine_report",
    "check_splits",
    "iter_samples",
    "quarantined_videos",
    "read_samples",
]
