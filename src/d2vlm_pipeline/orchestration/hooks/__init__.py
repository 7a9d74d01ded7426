"""Hooks of a Kedro run: conveniences around it. What must hold under every runner lives in the datasets."""

from d2vlm_pipeline.orchestration.hooks.dry_run import DryRunHooks
from d2vlm_pipeline.orchestration.hooks.lineage import LineageHooks
from d2vlm_pipeline.orchestration.hooks.missing_inputs import MissingInputHooks
from d2vlm_pipeline.orchestration.hooks.mlflow_report import MlflowReportHooks
from d2vlm_pipeline.orchestration.hooks.mlflow_run import MlflowRunHooks
from d2vlm_pipeline.orchestration.hooks.records import RecordHooks
from d2vlm_pipeline.orchestration.hooks.run_page import RunPageHooks
from d2vlm_pipeline.orchestration.hooks.run_summary import RunSummaryHooks
from d2vlm_pipeline.orchestration.hooks.strategy import StrategyHooks
from d2vlm_pipeline.orchestration.hooks.validation import ValidationHooks

__all__ = [
    "DryRunHooks",
    "LineageHooks",
    "MissingInputHooks",
    "MlflowReportHooks",
    "MlflowRunHooks",
    "RecordHooks",
    "RunPageHooks",
    "RunSummaryHooks",
    "StrategyHooks",
    "ValidationHooks",
]
