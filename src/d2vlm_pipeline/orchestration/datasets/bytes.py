"""Files whose content is made elsewhere: pictures, pages."""

from d2vlm_pipeline.artifacts import write_bytes_atomic
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset


class BytesDataset(PersistedDataset):
    """The bytes of a file, saved and loaded as they are."""

    def _read(self) -> bytes:
        return self._path.read_bytes()

    def _write(self, data: bytes) -> None:
        write_bytes_atomic(self._path, data)
