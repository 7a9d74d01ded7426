"""The project and its configuration, for whoever is not inside a Kedro session."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.startup import prepare

if TYPE_CHECKING:
    from kedro.config import OmegaConfigLoader

    from d2vlm_pipeline.tracking import TrackingConfig

SQLITE = "sqlite:///"

# `local` is each person's own, git-ignored; any other environment stands alone on top of base. Parameters
# merge key by key, so that an environment says only what differs; everything else is replaced whole.
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    # `${environment:NAME,DEFAULT}`: where a team's server is. What decides a result has no place in it.
    "custom_resolvers": {"environment": os.environ.get},
    "config_patterns": {
        "mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"],
        # The rules of promotion, the registry's settings and Ray's are parameters with files of their own.
        "parameters": [
            *("parameters*", "parameters*/**", "**/parameters*"),
            *("promotion*", "registry*", "ray*"),
        ],
    },
}


def find_project(start: Path | None = None) -> Path:
    """Root of the project that holds `start`, by default the working directory.

    Raises:
        UserError: there is none.
    """
    from kedro.utils import find_kedro_project

    start = start or Path.cwd()
    root = find_kedro_project(start)
    if root is None:
        raise UserError(f"{start}: not inside the project; change to the folder of its pyproject.toml")
    return Path(root)


@dataclass
class _OfRun:
    """The project of the run in this process; of a worker's, the one that the run came from."""

    root: Path | None = None


_of_run = _OfRun()


def use_project(root: Path) -> None:
    """From here on, nodes that run in this process belong to this project."""
    _of_run.root = root


def run_project() -> Path:
    """The project of the node that runs; outside runs, that of the working directory.

    A session may be started from any folder: the working directory says nothing about its project.

    Raises:
        UserError: there is none.
    """
    return _of_run.root or find_project()


def project_config(
    conf: Path, env: str | None = None, runtime_params: dict[str, Any] | None = None
) -> "OmegaConfigLoader":
    """The configuration as `kedro run --env ENV` reads it: `config["parameters"]`, `config["mlflow"]` …

    Args:
        conf: The folder of the environments, `conf/` of the project.
        env: One of them; None for the default.
        runtime_params: What `--params` gave.

    Raises:
        UserError: there is no such environment.
    """
    from kedro.config import OmegaConfigLoader

    prepare()
    if env is not None and conf.is_dir() and not (conf / env).is_dir():
        known = ", ".join(sorted(path.name for path in conf.iterdir() if path.is_dir()))
        raise UserError(f"no environment '{env}' in {conf}; use one of {known}")
    return OmegaConfigLoader(
        conf_source=str(conf), env=env, runtime_params=runtime_params, **CONFIG_LOADER_ARGS
    )


def data_root(root: Path, env: str | None = None) -> Path:
    """Folder of the environment's data."""
    return root / project_config(root / "conf", env)["globals"]["data_root"]


def load_dataset(root: Path, env: str | None, name: str) -> Any:
    """Load one dataset of the environment's catalog, by its own name (no dataset factories).

    Raises:
        UserError: it is missing or incomplete; the message names the pipeline that makes it.
    """
    from kedro.io import AbstractDataset

    entry = dict(project_config(root / "conf", env)["catalog"][name])
    entry.pop("validator", None)  # what was guarded when it was saved need not be again, and Kedro would warn
    return AbstractDataset.from_config(name, {**entry, "filepath": str(root / entry["filepath"])}).load()


def tracking_config(root: Path, env: str | None = None) -> "TrackingConfig":
    """The environment's MLflow store, by absolute paths."""
    return tracking_of(project_config(root / "conf", env), root)


def tracking_of(config: Mapping[str, Any], root: Path) -> "TrackingConfig":
    """The MLflow store of a configuration, by absolute paths below the project."""
    from d2vlm_pipeline.tracking import TrackingConfig

    conf = anchored(config["mlflow"], root)
    experiment = conf["tracking"]["experiment"]
    return TrackingConfig(
        tracking_uri=conf["server"]["mlflow_tracking_uri"],
        artifact_root=experiment["create_experiment_kwargs"]["artifact_location"],
        experiment=experiment["name"],
        # Beside the SQLite file, as ever; a server has no folder here, but locks and downloads need one.
        state_dir=str(root / config["globals"]["mlflow_root"]),
    )


def anchored(mlflow_conf: dict[str, Any], root: Path) -> dict[str, Any]:
    """mlflow.yml with its SQLite file and artifact folder as absolute paths below `root`.

    SQLite takes a relative path from the working directory of whoever opens it: a run started in a
    subfolder would make a second, empty store there.
    """
    server, tracking = dict(mlflow_conf["server"]), dict(mlflow_conf["tracking"])
    uri = server["mlflow_tracking_uri"]
    if uri.startswith(SQLITE):
        server["mlflow_tracking_uri"] = f"{SQLITE}{root / uri.removeprefix(SQLITE)}"
    experiment = dict(tracking["experiment"])
    location = experiment["create_experiment_kwargs"]["artifact_location"]
    if location is not None and "://" not in location:
        experiment["create_experiment_kwargs"] = {
            **experiment["create_experiment_kwargs"],
            "artifact_location": (root / location).as_uri(),
        }
    tracking["experiment"] = experiment
    return {**mlflow_conf, "server": server, "tracking": tracking}
