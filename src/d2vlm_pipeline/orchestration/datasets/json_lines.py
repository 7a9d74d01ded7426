"""Records as JSON lines, typed by a Pydantic model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.io import DatasetError
from pydantic import BaseModel

from d2vlm_pipeline.artifacts import Resumable, atomic_file, collector_paused
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.imports import import_object, require_module
from d2vlm_pipeline.timeline import dump_jsonl, read_jsonl


class JsonLinesDataset(PersistedDataset):
    """A list of records, one a line.

    `save` takes any iterable and streams it: a node that returns an iterator never holds all its records.
    (Return the iterator from a plain function: Kedro saves the output of a generator *function* piece by
    piece, each piece a whole dataset.) `load` returns a list; of a raw file, whose lines may be anything, its
    path.
    """

    def __init__(
        self,
        *,
        filepath: str,
        records: str,
        journal: str | None = None,
        raw: bool = False,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the file.

        Args:
            filepath: Where the file lies.
            records: Dotted path of the Pydantic model of one line.
            journal: Name of a folder beside the file, in which records that are `Resumable` outlive a save
                that was interrupted: what is there is not computed again.
            raw: See `PersistedDataset`.
            optional: See `PersistedDataset`.
            metadata: See `PersistedDataset`.

        Raises:
            DatasetError: there is no such module.
        """
        super().__init__(filepath=filepath, raw=raw, optional=optional, metadata=metadata)
        require_module(records)
        self._records = records
        self._journal = journal

    def _read(self) -> list[BaseModel] | Path:
        if self._raw:
            return self._path
        with collector_paused():
            return [record for _, record in read_jsonl(self._path, import_object(self._records))]

    def _write(self, data: Iterable[BaseModel]) -> None:
        model = import_object(self._records)
        if self._journal and isinstance(data, Resumable):
            data = data.resumed(self._path.parent / self._journal / self._path.name)
        with atomic_file(self._path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            for record in data:
                if not isinstance(record, model):
                    raise DatasetError(f"{self._path}: expected {self._records}, got {type(record).__name__}")
                stream.write(dump_jsonl([record]))

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "records": self._records, "journal": self._journal}
