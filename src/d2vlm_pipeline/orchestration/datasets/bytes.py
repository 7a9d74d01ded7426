"""Files whose content is made elsewhere: pictures, pages."""

from kedro_datasets._typing import ImagePreview

from d2vlm_pipeline.artifacts import write_bytes_atomic
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.datasets.previews import picture


class BytesDataset(PersistedDataset):
    """The bytes of a file, saved and loaded as they are."""

    def _read(self) -> bytes:
        return self._path.read_bytes()

    def _write(self, data: bytes) -> None:
        write_bytes_atomic(self._path, data)


class PictureDataset(BytesDataset):
    """A picture: the same, and looked at as one."""

    def preview(self) -> ImagePreview:
        """The picture, for Kedro-Viz, which shows nothing where there is none."""
        return ImagePreview(picture(self.path) if self.exists() else "")
