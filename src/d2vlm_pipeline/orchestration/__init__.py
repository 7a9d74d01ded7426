"""All that extends Kedro: crash-safe datasets, hooks, the `run` command, access to the configuration."""

from d2vlm_pipeline.orchestration.datasets import (
    WITHOUT_OPTIONAL,
    AtomicDataset,
    BytesDataset,
    DatasetUserError,
    DirectoryDataset,
    JsonLinesDataset,
    LeaveAsIs,
    PersistedDataset,
)

__all__ = [
    "WITHOUT_OPTIONAL",
    "AtomicDataset",
    "BytesDataset",
    "DatasetUserError",
    "DirectoryDataset",
    "JsonLinesDataset",
    "LeaveAsIs",
    "PersistedDataset",
]
