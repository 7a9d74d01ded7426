"""Records as JSON lines, typed by a Pydantic model."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from pydantic import BaseModel

from d2vlm_pipeline.artifacts import Resumable, atomic_file, collector_paused
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.datasets.previews import ROWS, first_rows, table
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
        place: str | None = None,
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
            place: Field of the records that is a path. Below the folder above the file's own it is written as
                seen from there, and loaded as an absolute path: data may move, and a clone has its own.
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
        self._place = place

    def _read(self) -> list[BaseModel] | Path:
        if self._raw:
            return self._path
        with collector_paused():
            records = [record for _, record in read_jsonl(self._path, import_object(self._records))]
            return [self._placed(record, self._here) for record in records]

    def _write(self, data: Iterable[BaseModel]) -> None:
        model = import_object(self._records)
        if self._journal and isinstance(data, Resumable):
            data = data.resumed(self._path.parent / self._journal / self._path.name)
        with atomic_file(self._path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            for record in data:
                if not isinstance(record, model):
                    raise DatasetError(f"{self._path}: expected {self._records}, got {type(record).__name__}")
                stream.write(dump_jsonl([self._placed(record, self._portable)]))

    def preview(self, nrows: int = ROWS) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(first_rows(self._path, nrows) if self.exists() else table([self.missing()]))

    def _placed(self, record: BaseModel, to: Callable[[str], str]) -> BaseModel:
        if self._place is None:
            return record
        return record.model_copy(update={self._place: to(getattr(record, self._place))})

    def _here(self, path: str) -> str:
        return (self._root / path).as_posix()

    def _portable(self, path: str) -> str:
        whole = Path(path).absolute()
        return (whole.relative_to(self._root) if whole.is_relative_to(self._root) else whole).as_posix()

    @property
    def _root(self) -> Path:
        return self._path.absolute().parents[1]

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "records": self._records, "journal": self._journal}
