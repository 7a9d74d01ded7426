"""The configuration of a run as an environment of the checkout: `conf/reproduced`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

ENVIRONMENT = "reproduced"
_SEED = "seed"
_ROOTS = ("data_root", "mlflow_root")


def write_environment(configuration: Mapping[str, Any], project: Path) -> None:
    """Write what was resolved, so that nothing of another environment, or of `conf/local`, has a say.

    Args:
        configuration: of the run, by kind.
        project: folder of the checkout; roots of the run that lay elsewhere lie below it now.
    """
    found = inside(configuration)
    globals_, parameters = dict(found["globals"]), dict(found["parameters"])
    if _SEED in parameters:  # base takes it from globals, where `--params` has not been
        globals_[_SEED] = parameters.pop(_SEED)
    kinds = {
        "globals": globals_,
        "parameters": parameters,
        "catalog": found["catalog"],
        "mlflow": _own_store(found["mlflow"], globals_["mlflow_root"]),
    }
    folder = project / "conf" / ENVIRONMENT
    folder.mkdir(parents=True)
    for kind, values in kinds.items():
        text = yaml.safe_dump(values, sort_keys=True, allow_unicode=True)
        (folder / f"{kind}.yml").write_text(text, encoding="utf-8")
    (project / "conf" / "local").mkdir(exist_ok=True)  # git keeps no empty folders


def inside(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The same with data and store below the project: a run that is made again writes over no other."""
    found = dict(configuration)
    for name in _ROOTS:
        root = str(found["globals"][name])
        if PurePosixPath(root).is_absolute() or ".." in PurePosixPath(root).parts:
            found = _moved(found, root.rstrip("/"), f"{name.removesuffix('_root')}/{ENVIRONMENT}")
    return found


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _moved(below, old, new) for name, below in value.items()}
    if isinstance(value, list):
        return [_moved(below, old, new) for below in value]
    if not isinstance(value, str):
        return value
    return new if value.rstrip("/") == old else value.replace(f"{old}/", f"{new}/")


def _own_store(mlflow: Mapping[str, Any], root: str) -> dict[str, Any]:
    """The run's settings of MLflow with a store in the checkout, whatever server it was logged to."""
    tracking = dict(mlflow["tracking"])
    own = {"create_experiment_kwargs": {"artifact_location": f"{root}/artifacts"}}
    tracking["experiment"] = {**tracking["experiment"], **own}
    return {**mlflow, "server": {"mlflow_tracking_uri": f"sqlite:///{root}/mlflow.db"}, "tracking": tracking}
