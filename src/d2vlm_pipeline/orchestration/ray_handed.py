"""What one node hands to another in memory, on its way through Ray's object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from kedro.io import DatasetError, MemoryDataset

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol


class HandedOn(MemoryDataset):
    """Stands for a `MemoryDataset` where the run was started; workers have the real one.

    The value lies in Ray's object store on the machine where the run was started, so that it outlives the
    worker and the machine that made it. It goes when Kedro releases the dataset, after its last reader.
    """

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        """Nothing yet."""
        super().__init__(metadata=metadata)
        self._ref: Any = None

    @classmethod
    def find(cls, catalog: CatalogProtocol, name: str) -> Self | None:
        """The dataset of this name, if it is one that is handed on."""
        dataset = catalog.get(name)
        return dataset if isinstance(dataset, cls) else None

    @classmethod
    def of(cls, catalog: CatalogProtocol, name: str) -> Self:
        """The dataset of this name."""
        dataset = catalog.get(name)
        assert isinstance(dataset, cls)
        return dataset

    @property
    def ref(self) -> Any:
        """Ray's reference to the pickled value."""
        return self._ref

    def hold(self, value: bytes) -> None:
        """Keep a pickled value."""
        import ray

        self._ref = ray.put(value)

    def load(self) -> Any:
        """The value, unpickled."""
        import ray
        from ray import cloudpickle

        if self._ref is None:
            raise DatasetError("nothing was handed on as yet")
        return cloudpickle.loads(ray.get(self._ref))

    def _exists(self) -> bool:
        return self._ref is not None

    def _release(self) -> None:
        self._ref = None
