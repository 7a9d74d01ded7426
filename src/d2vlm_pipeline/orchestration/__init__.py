"""All that extends Kedro: crash-safe datasets, hooks, the `run` command, runners, the configuration."""

from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.orchestration.datasets import (
    FOLLOWS_CHAMPION,
    WITHOUT_OPTIONAL,
    AtomicDataset,
    BytesDataset,
    CurvesDataset,
    DatasetUserError,
    DirectoryDataset,
    JsonLinesDataset,
    LeaveAsIs,
    NothingDone,
    PersistedDataset,
    PictureDataset,
)

if TYPE_CHECKING:
    from d2vlm_pipeline.orchestration.ray_runner import RayRunner

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
    "RayRunner",
]


def __getattr__(name: str) -> Any:
    """The runner is imported when it is asked for: datasets should not pay for Kedro's runners."""
    if name == "RayRunner":
        from d2vlm_pipeline.orchestration.ray_runner import RayRunner

        return RayRunner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
