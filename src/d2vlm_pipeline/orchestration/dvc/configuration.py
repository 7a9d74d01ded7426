"""What an environment says, as DVC is told of it: parameters and catalog, resolved."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from d2vlm_pipeline.artifacts import UserError, validation_reason
from d2vlm_pipeline.orchestration.datasets import PersistedDataset
from d2vlm_pipeline.orchestration.project import CONFIG_LOADER_ARGS, project_config

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

SHARED = str(CONFIG_LOADER_ARGS["base_env"])
OWN = str(CONFIG_LOADER_ARGS["default_run_env"])


@dataclass(frozen=True)
class Place:
    """Where the files of an environment lie.

    DVC looks into the project's folder first, so the default environment has it; any other has a folder of
    its own, not below conf/: that is a dependency, and `dvc.lock` would be one of itself.

    Attributes:
        root: the project.
        env: environment; None for the default, conf/local on conf/base.
    """

    root: Path
    env: str | None

    @property
    def name(self) -> str | None:
        """The environment as a command names it; None where none has to be named."""
        return None if self.env in (None, SHARED, OWN) else self.env

    @property
    def folder(self) -> PurePosixPath:
        """Below the project, of dvc.yaml, params.yaml and dvc.lock."""
        return PurePosixPath("stages", self.name) if self.name else PurePosixPath(".")

    @property
    def stages_file(self) -> Path:
        """The environment's dvc.yaml."""
        return self.root / self.folder / "dvc.yaml"

    @property
    def params_file(self) -> Path:
        """The environment's params.yaml."""
        return self.root / self.folder / "params.yaml"

    @property
    def sources(self) -> list[str]:
        """Folders below the project that the configuration is read from."""
        return [f"conf/{SHARED}", f"conf/{self.name or OWN}"]

    def command(self, words: str) -> str:
        """A command about this environment, as a person types it."""
        return f"kedro dvc {words} --env {self.name}" if self.name else f"kedro dvc {words}"


@dataclass(frozen=True)
class Configuration:
    """Parameters and catalog of an environment, every reference in them resolved.

    Attributes:
        root: the project.
        package: name of the project's package.
        pipelines: all of them, by name.
        parameters: as nodes get them, before they become models.
        catalog: entries by name or pattern.
        data_root: below the project.
    """

    root: Path
    package: str
    pipelines: "dict[str, Pipeline]"
    parameters: dict[str, Any]
    catalog: dict[str, Any]
    data_root: str

    def typed(self, key: str) -> Any:
        """A parameter as the model that nodes get.

        Raises:
            UserError: its value is refused.
        """
        try:
            return TypeAdapter(self._types[key]).validate_python(self.parameters[key])
        except ValidationError as error:
            raise UserError(f"{key}.{validation_reason(error)}; mend the value") from None

    def entry(self, name: str) -> dict[str, Any] | None:
        """Catalog entry of a dataset, by name or pattern; None of what only memory holds."""
        if self._resolver.match_dataset_pattern(name) is None and name not in self.catalog:
            return None
        return dict(self._resolver.resolve_pattern(name))

    def dataset(self, name: str) -> PersistedDataset | None:
        """A persisted dataset, its path below the project as the catalog has it.

        Raises:
            UserError: what lies there would be half-written at times, or be versioned by Kedro, too.
        """
        from kedro.io import AbstractDataset

        entry = self.entry(name)
        if entry is None:
            return None
        if entry.get("versioned"):
            raise UserError(f"catalog: {name} is versioned, and DVC versions it, too: remove `versioned`")
        entry.pop("validator", None)  # a guard is the catalog's, not the dataset's
        dataset: AbstractDataset[Any, Any] = AbstractDataset.from_config(name, entry)
        if not isinstance(dataset, PersistedDataset):
            raise UserError(f"catalog: {name}: DVC versions what appears whole: wrap it in an AtomicDataset")
        return dataset

    @cached_property
    def _types(self) -> dict[str, type]:
        from kedro.validation.type_extractor import TypeExtractor

        return TypeExtractor(dict(self.pipelines)).extract_types_from_pipelines()

    @cached_property
    def _resolver(self) -> Any:
        from kedro.io import CatalogConfigResolver, DataCatalog

        return CatalogConfigResolver(
            config=self.catalog, default_runtime_patterns=DataCatalog.default_runtime_patterns
        )


def read_configuration(place: Place, runtime_params: dict[str, Any] | None = None) -> Configuration:
    """The configuration as `kedro run` would have it there.

    Raises:
        UserError: there is no such environment.
    """
    from kedro.framework import project

    config = project_config(place.root / "conf", place.env, runtime_params)
    return Configuration(
        root=place.root,
        package=str(project.PACKAGE_NAME),
        pipelines=dict(project.pipelines),
        parameters=config["parameters"],
        catalog=config["catalog"],
        data_root=config["globals"]["data_root"],
    )
