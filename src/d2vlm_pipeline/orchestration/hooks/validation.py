"""What the guards of a run have found, in its MLflow run: also of a run that a guard has stopped."""

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from d2vlm_pipeline.orchestration.validation.outcome import DOCS
from d2vlm_pipeline.orchestration.validation.watch import GuardWatch


class ValidationHooks:
    """Logs results and Data Docs at the end of a run, before kedro-mlflow closes it.

    The guards themselves write under every runner, in whatever process; this only carries what they wrote.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._watch: GuardWatch | None = None

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Note what lies there already."""
        self._watch = GuardWatch(catalog)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Log what was written since."""
        self._log()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Log it also where a guard, or anything else, has ended the run."""
        self._log()

    def _log(self) -> None:
        watch, self._watch = self._watch, None
        if watch is None or not (places := watch.places()):
            return
        from d2vlm_pipeline.tracking import find_run, log_files

        if (run := find_run()) is None:  # tracking is switched off for this pipeline
            return
        for place, datasets in places.items():
            # Datasets of a namespace have a folder of their own, on disk as here.
            folder = "/".join(["validation", *datasets[0].split(".")[:-1]])
            files = [place / DOCS, *(place / f"{dataset}.json" for dataset in datasets)]
            log_files(run.tracking, run.run_id, files, folder)
