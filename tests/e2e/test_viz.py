"""Kedro-Viz shows the pipelines by layers, and what datasets hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Project

LAYERS = [
    *("raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"),
]


def built(root: Path) -> Path:
    """The page that `kedro viz build` writes."""
    kedro = Path(sys.executable).with_name("kedro")
    done = subprocess.run(
        [kedro, "viz", "build", "--include-previews"],
        cwd=root,
        env={**os.environ, "KEDRO_ENV": "smoke"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (root / "build" / "index.html").is_file(), done.stdout + done.stderr
    return root / "build" / "api"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.ci_sample
def test_pipelines_are_shown_with_layers_and_previews(whole_run: Project) -> None:
    api = built(whole_run.root)
    main = read(api / "main")
    assert {pipeline["id"] for pipeline in main["pipelines"]} >= {"__default__", "sft", "fpo", "promotion"}
    assert [layer for layer in main["layers"] if layer in LAYERS] == main["layers"]
    assert set(main["layers"]) == set(LAYERS)
    ids = {node["name"]: node["id"] for node in main["nodes"] if node["type"] == "data"}
    shown = {name: read(api / "nodes" / id_) for name, id_ in ids.items() if (api / "nodes" / id_).is_file()}
    kinds = {name: node.get("preview_type") for name, node in shown.items() if node.get("preview")}
    assert kinds["samples"] == "TablePreview" and shown["samples"]["preview"]["data"]
    assert kinds["sft_curves"] == "PlotlyPreview" and shown["sft_curves"]["preview"]["data"]
    assert kinds["metrics"] == "JSONPreview" and "scores" in shown["metrics"]["preview"]
    assert kinds["preference_audit_plots"] == "ImagePreview"
    assert kinds["fpo_model"] == "JSONPreview" and ".safetensors" in shown["fpo_model"]["preview"]
