"""What people get wrong on the command line and in parameter files, reported by file and key."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from kedro.validation.type_extractor import TypeExtractor
from kedro.validation.utils import resolve_nested_dict_path
from pydantic import BaseModel, ValidationError

from d2vlm_pipeline.artifacts import UserError, validation_reason
from d2vlm_pipeline.orchestration.project import CONFIG_LOADER_ARGS, project_config
from d2vlm_pipeline.orchestration.stages import in_order

_Model = TypeVar("_Model", bound=BaseModel)


def check_pipelines(package: str, names: Iterable[str]) -> None:
    """Refuse a pipeline that is not there: Kedro would report a failed import.

    Raises:
        UserError: unknown name.
    """
    folders = files(f"{package}.pipelines").iterdir()
    known = in_order(folder.name for folder in folders if folder.is_dir() and folder.name[0] not in "._")
    for name in names:
        if name not in (*known, "__default__"):
            raise UserError(f"no pipeline '{name}'; use one of {', '.join(known)}")


def check_runtime_parameters(conf: Path, env: str | None, runtime_params: dict[str, Any]) -> None:
    """Refuse `--params` whose first key is in no parameters file: Kedro would take it in silence.

    Raises:
        UserError: unknown key or environment.
    """
    known = project_config(conf, env)["parameters"]
    for key in runtime_params:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(sorted(known))}"
            raise UserError(f"--params: no parameter '{key}'; {hint}")


def check_root_seed(conf: Path, env: str | None) -> None:
    """Refuse an environment whose parameters set `seed`: base's `${seed}` is filled in before they are read.

    Raises:
        UserError: a file does; what it says would be taken by nobody.
    """
    folder = conf / (env or CONFIG_LOADER_ARGS["default_run_env"])
    if folder == conf / CONFIG_LOADER_ARGS["base_env"]:
        return
    for file in _parameter_files(conf, env):
        if file.is_relative_to(folder) and _holds(yaml.safe_load(file.read_text(encoding="utf-8")), ["seed"]):
            raise UserError(
                f"{conf.name}/{file.relative_to(conf)}: seed: the root seed of an environment stands in its "
                "globals.yml; move it there"
            )


def parameter_error(
    conf: Path, env: str | None, runtime_params: dict[str, Any], pipelines: dict[str, Any]
) -> str | None:
    """First value that its Pydantic model refuses, as `file: key: reason; mend`; None where all are fine."""
    values = project_config(conf, env, runtime_params)["parameters"]
    for key, model in TypeExtractor(pipelines).extract_types_from_pipelines().items():
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        value = resolve_nested_dict_path(values, key)
        try:
            model.model_validate(value)
        except ValidationError as error:
            return _described(conf, env, runtime_params, key, value, error)
    return None


def typed_parameter(conf: Path, env: str | None, key: str, model: type[_Model]) -> _Model:
    """One parameter of an environment as the model that nodes take it as.

    Raises:
        UserError: its value is refused; the message names file, key and reason.
    """
    value = resolve_nested_dict_path(project_config(conf, env)["parameters"], key)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError(_described(conf, env, {}, key, value, error)) from None


def _described(
    conf: Path, env: str | None, runtime_params: dict[str, Any], key: str, value: Any, error: ValidationError
) -> str:
    first = error.errors()[0]
    place = _written(value, first["loc"])
    path = [*key.split("."), *place]
    mend = "remove it or mend its name" if first["type"] == "extra_forbidden" else "mend the value"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    reason = validation_reason(error, place)
    separator = "." if place else ": "
    return f"{_origin(conf, env, runtime_params, path)}: {key}{separator}{reason}; {mend}{more}"


def _written(value: Any, loc: Iterable[str | int]) -> list[str]:
    """A place in the keys that people wrote: Pydantic puts the kind of a union's member among them."""
    keys = []
    for part in loc:
        if isinstance(value, dict):
            if part not in value and part in (value.get("kind"), value.get("gate")):
                continue
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        keys.append(str(part))
    return keys


def _origin(conf: Path, env: str | None, runtime_params: dict[str, Any], path: list[str]) -> str:
    """Where the value at `path` was set; of a value set nowhere, where its nearest parent was."""
    for length in range(len(path), 0, -1):
        if _holds(runtime_params, path[:length]):
            return "--params"
        for file in _parameter_files(conf, env):
            if _holds(yaml.safe_load(file.read_text(encoding="utf-8")), path[:length]):
                return f"{conf.name}/{file.relative_to(conf)}"
    return f"{conf.name}/"


def _parameter_files(conf: Path, env: str | None) -> Iterator[Path]:
    """Parameter files in order of precedence: the environment's before base's."""
    for folder in (env or CONFIG_LOADER_ARGS["default_run_env"], CONFIG_LOADER_ARGS["base_env"]):
        yield from sorted((conf / folder).rglob("parameters*.yml"))
        for name in ("promotion*.yml", "registry*.yml", "ray*.yml"):
            yield from sorted((conf / folder).glob(name))


def _holds(tree: Any, path: list[str]) -> bool:
    for part in path:
        if not (isinstance(tree, dict) and part in tree):
            return False
        tree = tree[part]
    return True
