"""Kedro's settings for this project."""

import os

from d2vlm_pipeline.orchestration.hooks import MissingInputHooks, MlflowRunHooks, RunSummaryHooks
from d2vlm_pipeline.orchestration.project import CONFIG_LOADER_ARGS

__all__ = ["CONFIG_LOADER_ARGS", "DISABLE_HOOKS_FOR_PLUGINS", "HOOKS"]

# MLflow unpickles models by default; nothing here is a pickle, so whatever asks for it is not ours.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"

HOOKS = (MlflowRunHooks(), MissingInputHooks(), RunSummaryHooks())

# Nothing about a run leaves the machine.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
