"""One root seed, and what does not follow it."""

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from kedro.validation.type_extractor import TypeExtractor
from kedro.validation.utils import resolve_nested_dict_path
from pydantic import BaseModel

from d2vlm_pipeline.orchestration.project import project_config
from d2vlm_pipeline.orchestration.stages import STAGES

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = ["base", "smoke", "faults", "smollm2", "gpu", "gpu_causal_lm"]
DATA = {"world", "align_world", "data", "align_data"}
"""Whose seed tells one set of data from another: a run from another root is to see the same clips."""


@pytest.fixture(scope="module")
def models() -> dict[str, type[BaseModel]]:
    """What nodes take parameters as, by their names."""
    modules = [import_module(f"d2vlm_pipeline.pipelines.{name}") for name in (*STAGES, "align", "blind")]
    pipelines = {module.__name__: module.create_pipeline() for module in modules}
    found = TypeExtractor(pipelines).extract_types_from_pipelines()
    return {key: model for key, model in found.items() if isinstance(model, type)}


def seeds(values: dict[str, Any], above: str) -> Iterator[tuple[str, int]]:
    """(path, value) of every key called `seed`."""
    for key, value in values.items():
        if key == "seed":
            yield above, value
        elif isinstance(value, dict):
            yield from seeds(value, f"{above}.{key}")


def found(models: dict[str, type[BaseModel]], env: str, conf: Path = CONF, **given: Any) -> dict[str, int]:
    """Every seed that a node sees, those that no file names among them."""
    values = project_config(conf, env, given)["parameters"]
    typed = {
        key: model.model_validate(resolve_nested_dict_path(values, key)) for key, model in models.items()
    }
    return dict(seed for key, value in typed.items() for seed in seeds(value.model_dump(), key))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_component_follows_the_root_and_no_data_do(models: dict[str, Any], env: str) -> None:
    before, after = found(models, env), found(models, env, seed=5)
    assert {name for name in before if before[name] == after[name]} == DATA
    assert {after[name] for name in after if name not in DATA} == {5}
    assert {"sft", "fpo", "preferences", "hard_negatives", "evaluation", "studies"} <= set(after)


def test_a_component_may_be_pinned(models: dict[str, Any]) -> None:
    after = found(models, "base", seed=5, sft={"seed": 2})
    assert (after["sft"], after["fpo"]) == (2, 5)


def test_an_environment_has_a_root_of_its_own(models: dict[str, Any], tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    (conf / "smoke/globals.yml").write_text("data_root: d\nmlflow_root: m\nseed: 9\n")
    assert found(models, "smoke", conf)["sft"] == 9
    assert found(models, "smoke", conf, seed=4)["sft"] == 4


def test_the_defaults_are_those_that_the_shipped_results_were_made_with(models: dict[str, Any]) -> None:
    base = found(models, "base")
    assert {value for name, value in base.items() if name not in {"world", "align_world"}} == {0}
    assert (base["world"], base["align_world"]) == (7, 1001)
