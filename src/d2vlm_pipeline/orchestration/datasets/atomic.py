"""Any single-file Kedro dataset, made crash-safe."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import JSONPreview, PlotlyPreview

from d2vlm_pipeline.artifacts import atomic_file
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.datasets.previews import curves_chart, empty_chart, shortened


class AtomicDataset(PersistedDataset):
    """Save and load through another dataset, publishing its file whole or not at all.

    Kedro's own datasets write in place: a process killed during a save leaves a truncated file that later
    counts as present. In a catalog:

        metrics:
          type: d2vlm_pipeline.orchestration.AtomicDataset
          filepath: data/08_reporting/metrics.json
          dataset: {type: json.JSONDataset}
          metadata: {made_by: evaluation}
    """

    def __init__(
        self,
        *,
        filepath: str,
        dataset: dict[str, Any],
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Wrap a dataset.

        Args:
            filepath: Where the file lies.
            dataset: Definition of the wrapped dataset as in a catalog, without its `filepath`.
            optional: See `PersistedDataset`.
            metadata: See `PersistedDataset`.

        Raises:
            DatasetError: the definition is wrong, or asks for a place or a version of its own.
        """
        super().__init__(filepath=filepath, optional=optional, metadata=metadata)
        if own := {"filepath", "versioned"} & dataset.keys():
            raise DatasetError(f"the wrapped dataset must not set {sorted(own)}: the wrapper places the file")
        self._definition = dict(dataset)
        self._wrapped(self._path)  # a misspelt type should fail before the run, not after the training

    def _wrapped(self, path: Path) -> AbstractDataset[Any, Any]:
        definition = {**self._definition, "filepath": path.as_posix()}
        return AbstractDataset.from_config(f"{self._path.name} (wrapped)", definition)

    def _read(self) -> Any:
        return self._wrapped(self._path).load()

    def _write(self, data: Any) -> None:
        with atomic_file(self._path) as temporary:
            self._wrapped(temporary).save(data)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "dataset": self._definition}

    def preview(self) -> JSONPreview:
        """The record, shortened, for Kedro-Viz."""
        return JSONPreview(json.dumps(shortened(self._read()) if self.exists() else self.missing()))


class CurvesDataset(AtomicDataset):
    """Curves of a phase that trains: the same, looked at as a chart."""

    def preview(self) -> PlotlyPreview:
        """The chart, for Kedro-Viz."""
        return PlotlyPreview(curves_chart(self._read()) if self.exists() else empty_chart(self.missing()))
