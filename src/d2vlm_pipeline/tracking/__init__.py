"""MLflow tracking through explicit clients and run ids."""

from d2vlm_pipeline.tracking.client import ensure_experiment, harden_mlflow, open_run, tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig
from d2vlm_pipeline.tracking.database import make_database
from d2vlm_pipeline.tracking.lineage import read_lineage
from d2vlm_pipeline.tracking.live import CurveTarget, LiveCurve, curve_target, show_curves
from d2vlm_pipeline.tracking.log import (
    flatten_scores,
    flatten_studies,
    log_curves,
    log_files,
    log_scores,
    log_settings,
    log_studies,
    metric_key,
)
from d2vlm_pipeline.tracking.patience import give_up, store_trouble, wait_for_locks
from d2vlm_pipeline.tracking.run import (
    OpenRun,
    current_run,
    current_store,
    find_run,
    find_store,
    use_run,
    use_store,
)

__all__ = [
    "CurveTarget",
    "LiveCurve",
    "OpenRun",
    "TrackingConfig",
    "current_run",
    "current_store",
    "curve_target",
    "ensure_experiment",
    "find_run",
    "find_store",
    "flatten_scores",
    "flatten_studies",
    "give_up",
    "harden_mlflow",
    "log_curves",
    "log_files",
    "log_scores",
    "log_settings",
    "log_studies",
    "make_database",
    "metric_key",
    "open_run",
    "read_lineage",
    "show_curves",
    "store_trouble",
    "tracking_client",
    "use_run",
    "use_store",
    "wait_for_locks",
]
