"""What each node was made of, written down when it has run to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs, NothingDone
from d2vlm_pipeline.orchestration.project import tracking_of
from d2vlm_pipeline.orchestration.staleness.plan import Plan, digest_of, plan_run
from d2vlm_pipeline.orchestration.staleness.record import Record, Surroundings


class RecordHooks:
    """Writes a node's record once all of its outputs are saved and every other hook has had its say.

    The state is plain data: it may travel to the workers of a runner, which then write the records. Where it
    does not, nodes leave no record, and run again next time.
    """

    def __init__(self) -> None:
        """No run yet."""
        self._context: KedroContext | None = None
        self._plan: Plan | None = None
        self._found: dict[str, Surroundings] = {}
        self._saved: dict[str, dict[str, str | None]] = {}

    @hook_impl(trylast=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the configuration is to be had."""
        self._context = context

    @hook_impl(trylast=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Look at code and parameters now: files that change during the run were not what ran."""
        context, self._context = self._context, None
        if context is None:
            return
        root, config = Path(context.project_path), context.config_loader
        data_root = root / config["globals"]["data_root"]
        tracking = tracking_of(config, root)
        self._plan = plan_run(pipeline, catalog, config["parameters"], root, data_root, tracking)
        self._found, self._saved = {}, {}

    @hook_impl(trylast=True)
    def before_node_run(self, node: Node) -> None:
        """Note what the node has been given, as it was loaded."""
        if self._plan is None or not self._plan.nodes[node.name].is_recorded:
            return
        contents = self._plan.contents()
        found = self._plan.surroundings(self._plan.nodes[node.name], contents, as_loaded=True)
        contents.save()
        self._found[node.name], self._saved[node.name] = found, {}

    @hook_impl(trylast=True)
    def after_node_run(self, node: Node) -> None:
        """A node without outputs is done."""
        if not node.outputs:
            self._close(node)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Any other is done with the last of its outputs."""
        if self._plan is None or node.name not in self._found:
            return
        if isinstance(data, NothingDone):  # what was recorded before still holds
            del self._found[node.name], self._saved[node.name]
            return
        place = self._plan.nodes[node.name].places.get(dataset_name)
        digest = None
        if place is not None and not isinstance(data, LeaveAsIs):
            contents = self._plan.contents()
            digest = digest_of(place, contents, is_vouched=True)
            contents.save()
        self._saved[node.name][dataset_name] = digest
        if len(self._saved[node.name]) == len(node.outputs):
            self._close(node)

    def _close(self, node: Node) -> None:
        if self._plan is None or node.name not in self._found:
            return
        planned, found = self._plan.nodes[node.name], self._found.pop(node.name)
        if planned.champion is not None:  # as the node leaves it
            found = found.model_copy(update={"outside": {"champion": planned.champion.seen()}})
        outputs = self._saved.pop(node.name)
        Record(
            schema=1,
            node=node.name,
            definition=planned.definition,
            surroundings=found,
            outputs={name: outputs[name] for name in planned.kept},
        ).save(self._plan.records)
