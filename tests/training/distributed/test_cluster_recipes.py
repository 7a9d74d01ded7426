"""Recipes that nobody has run here say at least what can be read, and set what there is to set."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from d2vlm_pipeline.orchestration.checks import typed_parameter
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.workers import TrainWorkers, check_launch

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)


def settings() -> list[dict[str, str]]:
    """What every recipe gives with --params."""
    given = [re.search(r'--params "?([^"\s]+)', block) for _, block in BLOCKS]
    return [dict(pair.split("=", 1) for pair in found[1].split(",")) for found in given if found]


@pytest.mark.parametrize("given", settings(), ids=["kuberay", "slurm"])
def test_what_recipes_set_is_taken(given: dict[str, str]) -> None:
    """By the models that read it, in the environment that they name, whose clips their workers can share."""
    groups: dict[str, dict[str, Any]] = {"train": {}, "ray": {}}
    for key, value in given.items():
        group, name = key.split(".")
        groups[group][name] = value
    conf = ROOT / "conf"
    configured = typed_parameter(conf, "gpu", "train", TrainWorkers).model_dump(mode="json")
    train = TrainWorkers.model_validate({**configured, **groups["train"]})
    RaySettings.model_validate(groups["ray"])
    for phase in ("sft", "fpo"):
        check_launch(phase, typed_parameter(conf, "gpu", phase, TrainConfig), train)
    assert train.workers == 2 * 8


def test_the_manifest_of_kuberay_is_yaml_with_what_the_text_says() -> None:
    (manifest,) = [yaml.safe_load(block) for kind, block in BLOCKS if kind == "yaml"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    cluster = manifest["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    assert group["replicas"] * worker["resources"]["limits"]["nvidia.com/gpu"] == 16
    mounted = {mount["name"] for mount in worker["volumeMounts"]}
    assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
    assert yaml.safe_load(manifest["spec"]["runtimeEnvYAML"])["env_vars"]
    pins = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"ray[data,train]=={cluster["rayVersion"]}"' in pins


def test_every_parameter_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`train\.(\w+)`", TEXT))
    assert named and named <= set(TrainWorkers.model_fields)
    assert "not run here" in TEXT
