"""Annotations, untrusted: samples in, rejections with file, line, reason and mend out."""

from d2vlm_pipeline.annotations.admission import admit_samples, durations_of
from d2vlm_pipeline.annotations.config import FORMATS, DataConfig, Format, ImportConfig
from d2vlm_pipeline.annotations.footage import FootageCheck, check_footage
from d2vlm_pipeline.annotations.importing import ImportedRow, import_folder, import_rows
from d2vlm_pipeline.annotations.jsonl import iter_samples, read_samples
from d2vlm_pipeline.annotations.names import VideoNames
from d2vlm_pipeline.annotations.quarantine import (
    QuarantinedVideo,
    QuarantineReport,
    build_quarantine_report,
    quarantined_videos,
)
from d2vlm_pipeline.annotations.rejection import REJECTION_CODES, Rejection, RejectionCode
from d2vlm_pipeline.annotations.splits import check_splits, drawn_split

__all__ = [
    "FORMATS",
    "REJECTION_CODES",
    "DataConfig",
    "FootageCheck",
    "Format",
    "ImportConfig",
    "ImportedRow",
    "QuarantineReport",
    "QuarantinedVideo",
    "Rejection",
    "RejectionCode",
    "VideoNames",
    "admit_samples",
    "build_quarantine_report",
    "check_footage",
    "check_splits",
    "drawn_split",
    "durations_of",
    "import_folder",
    "import_rows",
    "iter_samples",
    "quarantined_videos",
    "read_samples",
]
