"""The D2VLM model. Names are loaded on first use: torch costs seconds that light commands would pay."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2vlm_pipeline.model.build import build_model as build_model
    from d2vlm_pipeline.model.bundle import Contract as Contract
    from d2vlm_pipeline.model.bundle import ModelBundle as ModelBundle
    from d2vlm_pipeline.model.config import ModelConfig as ModelConfig
    from d2vlm_pipeline.model.d2vlm import D2VLM as D2VLM
    from d2vlm_pipeline.model.io import load_model as load_model
    from d2vlm_pipeline.model.io import save_half as save_half
    from d2vlm_pipeline.model.io import save_model as save_model

_HOMES = {
    "D2VLM": "d2vlm",
    "Contract": "bundle",
    "ModelBundle": "bundle",
    "ModelConfig": "config",
    "build_model": "build",
    "load_model": "io",
    "save_half": "io",
    "save_model": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
