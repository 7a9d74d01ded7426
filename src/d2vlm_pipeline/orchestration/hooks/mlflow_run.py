"""What kedro-mlflow leaves open: a store that exists, at a fixed place, and typed parameters one by one."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from d2vlm_pipeline.orchestration.project import SQLITE, anchored, tracking_of, use_project
from d2vlm_pipeline.tracking import make_database, use_store, wait_for_locks
from d2vlm_pipeline.tracking.redact import redacted

_PARAMS = "params:"
_LONGEST_VALUE = 6000
_BATCH = 100
_GIVEN = "runtime_params"  # what `--params` gave, of which kedro-mlflow makes a tag


class MlflowRunHooks:
    """Prepares MLflow's store before kedro-mlflow opens it, and completes the run that it starts.

    It travels to workers, and tells nodes there, too, which project they belong to.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._root: Path | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Anchor the store at the project folder, make it where it is missing, be patient."""
        # Its import sets INFO, over conf/logging.yml: lines on its own inner workings before every run.
        logging.getLogger("kedro_mlflow").setLevel(logging.WARNING)
        self._root = Path(context.project_path)
        conf = anchored(context.config_loader["mlflow"], self._root)
        uri = conf["server"]["mlflow_tracking_uri"]
        if uri.startswith(SQLITE):
            wait_for_locks(context.config_loader["globals"]["mlflow_patience_s"])
            make_database(Path(uri.removeprefix(SQLITE)))
        elif uri.startswith(("http://", "https://")):
            from d2vlm_pipeline.tracking.server import require_server

            require_server(uri)
        context.config_loader["mlflow"] = conf
        _hide_passwords()
        use_store(tracking_of(context.config_loader, self._root))

    @hook_impl(tryfirst=True)
    def before_node_run(self) -> None:
        """Say whose node it is."""
        if self._root is not None:
            use_project(self._root)

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Log every parameter of the run by its dotted name, and none with a password.

        kedro-mlflow flattens dictionaries only: of a Pydantic model it logs one long string.
        """
        import mlflow
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        run = mlflow.active_run()
        if run is None:  # tracking is switched off for this pipeline
            return
        given = run_params.get(_GIVEN) or {}
        if redacted(given) != given:
            MlflowClient().set_tag(run.info.run_id, _GIVEN, str(redacted(given)))
        models = {
            name.removeprefix(_PARAMS): catalog.load(name)
            for name in sorted(pipeline.inputs())
            if name.startswith(_PARAMS)
        }
        params = [
            Param(key, value[:_LONGEST_VALUE])
            for name, model in models.items()
            if isinstance(model, BaseModel)
            for key, value in _leaves(name, redacted(model.model_dump(mode="json")))
        ]
        for first in range(0, len(params), _BATCH):
            MlflowClient().log_batch(run.info.run_id, params=params[first : first + _BATCH])


def _hide_passwords() -> None:
    """Let kedro-mlflow, too, log parameters of nodes without passwords: MLflow lets nobody take one back."""
    from kedro_mlflow.framework.hooks import mlflow_hook

    def log(name: str, value: Any) -> None:
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        safe = redacted(plain, name)
        type(mlflow_hook)._log_param(mlflow_hook, name, value if safe == plain else safe)

    mlflow_hook._log_param = log


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(f"{name}.{key}", below)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
