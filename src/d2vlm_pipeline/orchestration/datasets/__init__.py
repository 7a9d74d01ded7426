"""Datasets for the catalog: whatever is persisted appears whole or not at all."""

from d2vlm_pipeline.orchestration.datasets.atomic import AtomicDataset, CurvesDataset
from d2vlm_pipeline.orchestration.datasets.base import (
    FOLLOWS_CHAMPION,
    WITHOUT_OPTIONAL,
    DatasetUserError,
    LeaveAsIs,
    NothingDone,
    PersistedDataset,
)
from d2vlm_pipeline.orchestration.datasets.bytes import BytesDataset, PictureDataset
from d2vlm_pipeline.orchestration.datasets.directory import DirectoryDataset
from d2vlm_pipeline.orchestration.datasets.json_lines import JsonLinesDataset

__all__ = [
    "FOLLOWS_CHAMPION",
    "WITHOUT_OPTIONAL",
    "AtomicDataset",
    "BytesDataset",
    "CurvesDataset",
    "DatasetUserError",
    "DirectoryDataset",
    "JsonLinesDataset",
    "LeaveAsIs",
    "NothingDone",
    "PersistedDataset",
    "PictureDataset",
]
