"""Said before the first node runs: what is missing, and which pipeline makes it."""

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.datasets.base import WITHOUT_OPTIONAL, PersistedDataset, short_path
from d2vlm_pipeline.orchestration.stages import in_order


class MissingInputHooks:
    """Refuses a run whose inputs are not all there.

    A convenience: the datasets refuse too, under every runner, but only when a node comes to load them.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Check the inputs that no node of this run makes.

        Raises:
            UserError: one is missing or incomplete.
        """
        if run_params.get("only_missing_outputs"):
            return  # the runner decides only later which nodes, and so which inputs, are left
        missing = {
            name: dataset
            for name in sorted(pipeline.inputs())
            if isinstance(dataset := catalog.get(name), PersistedDataset)
            and not dataset.exists()
            and not _is_dispensable(name, dataset, pipeline)
        }
        if missing:
            raise UserError(_message(missing, run_params.get("env")))


def _is_dispensable(name: str, dataset: PersistedDataset, pipeline: Pipeline) -> bool:
    """Whether nothing lies there and every node that reads it can do without."""
    if not dataset.optional or dataset.path.exists():
        return False
    return all(WITHOUT_OPTIONAL in node.tags for node in pipeline.nodes if name in node.inputs)


def _message(missing: dict[str, PersistedDataset], env: str | None) -> str:
    """Name the missing input that comes last in the chain: making it makes the others on the way."""
    makers = in_order(dataset.made_by for dataset in missing.values() if dataset.made_by)
    last = max(missing, key=lambda name: _place(missing[name], makers))
    dataset = missing[last]
    what = "incomplete" if dataset.path.exists() else "missing"
    line = f"{last} is {what} ({short_path(dataset.path)}): {_mend(makers, env)}"
    others = [name for name in missing if name != last]
    return f"{line} (also not there: {', '.join(others)})" if others else line


def _mend(makers: list[str], env: str | None) -> str:
    if not makers:
        return "provide it, no pipeline makes it"
    environment = f"--env {env} " if env else ""
    return f"run `kedro run {environment}--pipelines {','.join(makers)}` first"


def _place(dataset: PersistedDataset, makers: list[str]) -> int:
    return makers.index(dataset.made_by) if dataset.made_by else -1
