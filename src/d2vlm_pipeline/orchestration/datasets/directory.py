"""Directories written and read by functions of the project: models, feature stores, rendered clips."""

import json
from typing import Any

from kedro_datasets._typing import JSONPreview

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.orchestration.datasets.base import PersistedDataset
from d2vlm_pipeline.orchestration.datasets.previews import folder
from d2vlm_pipeline.orchestration.imports import import_object, require_module


class DirectoryDataset(PersistedDataset):
    """A directory that appears whole, with a MANIFEST.json of every file's digest.

    In a catalog:

        sft_model:
          type: d2vlm_pipeline.orchestration.DirectoryDataset
          filepath: data/06_models/sft
          save: d2vlm_pipeline.model.save_model
          load: d2vlm_pipeline.model.load_model
    """

    def __init__(
        self,
        *,
        filepath: str,
        save: str,
        load: str,
        save_args: dict[str, Any] | None = None,
        load_args: dict[str, Any] | None = None,
        cache: str | None = None,
        links: str | None = None,
        raw: bool = False,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the directory.

        Args:
            filepath: Where the directory lies.
            save: Dotted path of a function called as `save(data, directory, **save_args)`. The directory is
                empty and temporary; lazy iterables reach the function unconsumed, so it can stream them.
            load: Dotted path of a function called as `load(directory, **load_args)`.
            save_args: Further keyword arguments of `save`.
            load_args: Further keyword arguments of `load`.
            cache: Name of a folder beside this one, for what `save` need not compute again: it outlives
                saves, also those that were interrupted. `save` gets it as `cache`, and the place of this
                directory, where an older one may lie, as `published`.
            links: Dotted path of a function called as `links(directory)`: the files elsewhere that belong to
                what lies here, so that a change of theirs is noticed.
            raw: See `PersistedDataset`.
            optional: See `PersistedDataset`.
            metadata: See `PersistedDataset`.

        Raises:
            DatasetError: there is no such module.
        """
        super().__init__(filepath=filepath, raw=raw, optional=optional, metadata=metadata)
        for function in filter(None, (save, load, links)):
            require_module(function)
        self._save_function, self._save_args = save, save_args or {}
        self._load_function, self._load_args = load, load_args or {}
        self._cache = cache
        self._links = links

    @property
    def links(self) -> str | None:
        return self._links

    def _read(self) -> Any:
        return import_object(self._load_function)(self._path, **self._load_args)

    def _write(self, data: Any) -> None:
        save = import_object(self._save_function)
        kept = {"cache": self._path.with_name(self._cache), "published": self._path} if self._cache else {}
        with atomic_directory(self._path) as temporary:
            save(data, temporary, **kept, **self._save_args)

    def preview(self) -> JSONPreview:
        """Files and their sizes, for Kedro-Viz."""
        return JSONPreview(json.dumps(folder(self._path) if self.exists() else self.missing()))

    def _describe(self) -> dict[str, Any]:
        functions = {"save": self._save_function, "load": self._load_function}
        return {**super()._describe(), **functions, "cache": self._cache}
