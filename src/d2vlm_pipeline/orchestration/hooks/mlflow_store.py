"""MLflow's store, made ready before kedro-mlflow opens it."""

from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from d2vlm_pipeline.orchestration.project import anchored

_SQLITE = "sqlite:///"


class MlflowStoreHooks:
    """Anchors the store at the project folder and makes its directory, which SQLite does not."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Replace mlflow.yml's relative places by absolute ones in this run's configuration."""
        conf = anchored(context.config_loader["mlflow"], Path(context.project_path))
        uri = conf["server"]["mlflow_tracking_uri"]
        if uri.startswith(_SQLITE):
            Path(uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        context.config_loader["mlflow"] = conf
