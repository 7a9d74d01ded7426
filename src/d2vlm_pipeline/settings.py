"""Kedro's settings for this project."""

from d2vlm_pipeline.orchestration.hooks import (
    DryRunHooks,
    LineageHooks,
    MissingInputHooks,
    MlflowReportHooks,
    MlflowRunHooks,
    RecordHooks,
    RunPageHooks,
    RunSummaryHooks,
    StrategyHooks,
    ValidationHooks,
)
from d2vlm_pipeline.orchestration.project import CONFIG_LOADER_ARGS
from d2vlm_pipeline.orchestration.startup import prepare

__all__ = ["CONFIG_LOADER_ARGS", "DISABLE_HOOKS_FOR_PLUGINS", "HOOKS"]

prepare()  # sessions that are not started by the command line

HOOKS = (
    MlflowRunHooks(),
    DryRunHooks(),
    MlflowReportHooks(),
    MissingInputHooks(),
    StrategyHooks(),
    ValidationHooks(),
    RunSummaryHooks(),
    RecordHooks(),
    LineageHooks(),
    RunPageHooks(),
)

# Nothing about a run leaves the machine, and no run writes statistics for a viewer that nobody has asked for.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
