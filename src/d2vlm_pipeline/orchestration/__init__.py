"""All that extends Kedro: crash-safe datasets, hooks, the `run` command, access to the configuration."""

from d2vlm_pipeline.orchestration.datasets import (
    AtomicDataset,
    BytesDataset,
    DatasetUserError,
    DirectoryDataset,
    JsonLinesDataset,
    PersistedDataset,
)

__all__ = [
    "AtomicDataset",
    "BytesDataset",
    "DatasetUserError",
    "DirectoryDataset",
    "JsonLinesDataset",
    "PersistedDataset",
]
