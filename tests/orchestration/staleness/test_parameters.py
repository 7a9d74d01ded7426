"""Which parameters count, and which are left out: the list, and that it names what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from d2vlm_pipeline.annotations import DataConfig
from d2vlm_pipeline.features.huggingface import HuggingFaceConfig
from d2vlm_pipeline.model.config import QFormerConfig, StartConfig, VLMConfig
from d2vlm_pipeline.orchestration.project import project_config
from d2vlm_pipeline.orchestration.staleness.parameters import (
    COMPUTE_ONLY,
    FILES,
    named_files,
    resolved_parameters,
)
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.workers import TrainWorkers

ROOT = Path(__file__).parents[3]
MODELS: dict[str, list[type[BaseModel]]] = {
    "compute": [ComputeConfig],
    "train": [TrainWorkers],
    "*": [TrainConfig],
    "data": [DataConfig],
    "answering": [AnswerConfig],
    "start": [StartConfig],
    "encoder": [HuggingFaceConfig],
    "backbone": [VLMConfig],
    "projector": [QFormerConfig],
}


@pytest.mark.parametrize("pattern", [*COMPUTE_ONLY, *FILES])
def test_the_lists_name_fields_that_are_there(pattern: str) -> None:
    if (pattern := pattern.removesuffix(".*")) == "ray":
        return  # all of it
    place, _, name = pattern.rpartition(".")
    models = MODELS[place.rpartition(".")[2].removeprefix("*") or "*"]
    assert any(name in model.model_fields for model in models), pattern


def test_what_is_left_out_is_this_and_threads_and_workers_of_training_are_not() -> None:
    parameters = project_config(ROOT / "conf")["parameters"]
    names = [f"params:{key}" for key in parameters]
    kept = resolved_parameters(parameters, names)
    left_out = _keys(parameters) - set(kept)
    assert {"compute.workers", "train.launcher", "train.storage", "sft.checkpoints.folder"} <= left_out
    assert {key.split(".")[0] for key in left_out} <= {"compute", "ray", "train", "sft", "fpo", "align"}
    assert {"compute.threads", "train.workers", "sft.steps", "sft.optim.learning_rate"} <= set(kept)


def _keys(values: dict[str, Any], key: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in values.items():
        below = isinstance(value, dict) and value
        found |= _keys(value, f"{key}{name}.") if below else {f"{key}{name}"}
    return found


def test_values_are_named_by_their_whole_key() -> None:
    parameters = {"sft": {"optim": {"rate": 1.0}, "empty": {}, "list": [1, 2]}, "other": 1}
    assert resolved_parameters(parameters, ["params:sft", "samples"]) == {
        "sft.empty": {},
        "sft.list": [1, 2],
        "sft.optim.rate": 1.0,
    }
    assert resolved_parameters(parameters, ["params:sft.optim"]) == {"sft.optim.rate": 1.0}
    assert resolved_parameters(parameters, ["parameters"])["other"] == 1


def test_files_are_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footage").mkdir()
    (tmp_path / "labels.zip").touch()
    (tmp_path / "data").mkdir()
    parameters = {
        "data.videos": "footage",
        "data.annotations.train": "labels.zip::train.json",
        "encoder.path": "google/siglip",
        "sft.replay_dir": "data",
    }
    assert {key: path.name for key, path in named_files(parameters).items()} == {
        "data.videos": "footage",
        "data.annotations.train": "labels.zip",
    }
