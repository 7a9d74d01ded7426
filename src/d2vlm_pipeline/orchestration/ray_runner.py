"""`kedro run --runner d2vlm_pipeline.orchestration.RayRunner`: nodes in parallel on a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from kedro.framework.project import pipelines, settings
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import AbstractRunner

from d2vlm_pipeline.orchestration.hooks.strategy import phases_in
from d2vlm_pipeline.orchestration.node_resources import (
    KEY,
    NodeResources,
    Share,
    check_names,
    check_room_for_nodes,
    node_resources,
    share_of,
)
from d2vlm_pipeline.orchestration.ray_executor import Crew, RayExecutor
from d2vlm_pipeline.orchestration.ray_handed import HandedOn
from d2vlm_pipeline.orchestration.ray_session import ray_session
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.orchestration.ray_worker import STAYS_BEHIND, luggage_of
from d2vlm_pipeline.training.signals import stoppable
from d2vlm_pipeline.training.workers import TrainWorkers

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from kedro.io import CatalogProtocol, SharedMemoryCatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from kedro.runner.task import Task
    from pluggy import PluginManager

logger = logging.getLogger(__name__)

_PARAMS = "params:"


class RayRunner(AbstractRunner):
    """Runs each node as a task of Ray, as soon as what it needs is there and there is room for it.

    Where Ray runs is `ray.address`; what a node gets and how often it is tried, `node_resources`. Datasets,
    guards and hooks of nodes work in the workers as they do in the run's own process; hooks of the run as a
    whole are called where it was started.
    """

    def __init__(self, is_async: bool = False) -> None:
        """Nothing is started before `run`."""
        super().__init__(is_async=is_async)
        self._crew: Crew | None = None

    def _get_executor(self, max_workers: int) -> Executor:
        assert self._crew is not None
        return RayExecutor(self._crew)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol | SharedMemoryCatalogProtocol,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        """Start or join Ray, check that every node fits, and run.

        Raises:
            UserError: settings are wrong, a node fits nowhere, what a node raised, or its worker was lost
                again and again.
            Interrupted: the run was asked to stop; its nodes were, too.
        """
        if not pipeline.nodes:
            return
        known = cast(DataCatalog, catalog)
        spread = frozenset(node.name for node in pipeline.nodes if _is_spread(node, known))
        shares = _shares(pipeline.nodes, _node_resources(known), spread)
        with ray_session(_ray_settings(known), shows_output=True), stoppable():
            check_room_for_nodes(shares, _machines())
            hooks, plugins, behind = _divided(hook_manager)
            luggage = luggage_of(hooks, plugins, known)
            self._crew = Crew(luggage, hooks, shares, spread, lambda task: _log_parameters(task, behind))
            with _handed_on(pipeline, known):
                super()._run(pipeline, catalog, hook_manager, run_id)


def _ray_settings(catalog: DataCatalog) -> RaySettings:
    value = catalog.load(f"{_PARAMS}ray") if f"{_PARAMS}ray" in catalog else {}
    return value if isinstance(value, RaySettings) else RaySettings.model_validate(value)


def _node_resources(catalog: DataCatalog) -> NodeResources:
    return node_resources(catalog.load(_PARAMS + KEY) if _PARAMS + KEY in catalog else {})


def _is_spread(node: Node, catalog: DataCatalog) -> bool:
    """Whether the node hands its work to Ray workers of its own and only waits for them."""
    values = {name: catalog.load(name) for name in node.inputs if name.startswith(_PARAMS)}
    phases = [phase for name, value in values.items() for _, phase in phases_in(name, value)]
    trainers = [value for value in values.values() if isinstance(value, TrainWorkers)]
    if trainers:
        return any(train.uses_ray(phase.sharding) for train in trainers for phase in phases)
    return any(isinstance(value, RaySettings) and value.enabled for value in values.values())


def _shares(nodes: Sequence[Node], resources: NodeResources, spread: frozenset[str]) -> dict[str, Share]:
    """What each node of the run gets.

    Raises:
        UserError: a name or tag is that of no node, in whatever pipeline.
    """
    said = {*resources.names, *resources.tags}
    if said - {node.name for node in nodes} - {tag for node in nodes for tag in node.tags}:
        pipelines.set_requested(None)  # else Kedro knows those alone that this run was asked for
        check_names(resources, {node for each in pipelines.values() for node in each.nodes} | set(nodes))
    return {node.name: share_of(node, resources, node.name in spread) for node in nodes}


def _machines() -> list[dict[str, float]]:
    import ray

    return [
        {
            "cpus": machine["Resources"].get("CPU", 0.0),
            "gpus": machine["Resources"].get("GPU", 0.0),
            "memory_mb": machine["Resources"].get("memory", 0.0) / (1 << 20),
        }
        for machine in ray.nodes()
        if machine["Alive"]
    ]


def _divided(manager: PluginManager | None) -> tuple[list[Any], list[str], PluginManager | None]:
    """Hooks of the project, which travel with their state; distributions whose hooks are loaded afresh in
    workers; and a manager with what stays behind.
    """
    from pluggy import PluginManager as Manager

    if not isinstance(manager, Manager):  # a runner that is called without Kedro's session
        return [], [], None
    by_package = {id(plugin): dist.project_name for plugin, dist in manager.list_plugin_distinfo()}
    travelling = [plugin for plugin in manager.get_plugins() if id(plugin) not in by_package]
    off = set(settings.DISABLE_HOOKS_FOR_PLUGINS)
    afresh = sorted({name for name in by_package.values() if name not in off and name != STAYS_BEHIND})
    return travelling, afresh, manager


def _log_parameters(task: Task, manager: PluginManager | None) -> None:
    """Tell what stays behind of a node that starts: of its inputs, the parameters."""
    if manager is None:
        return
    behind = [plugin for plugin, dist in manager.list_plugin_distinfo() if dist.project_name == STAYS_BEHIND]
    others = [plugin for plugin in manager.get_plugins() if plugin not in behind]
    parameters = {name: task.catalog.load(name) for name in task.node.inputs if name.startswith(_PARAMS)}
    manager.subset_hook_caller("before_node_run", remove_plugins=others)(
        node=task.node,
        catalog=task.catalog,
        inputs=parameters,
        is_async=task.is_async,
        run_id=task.run_id,
    )


@contextmanager
def _handed_on(pipeline: Pipeline, catalog: DataCatalog) -> Iterator[None]:
    """While nodes run, what they hand on in memory lies in Ray; what is left at the end is the result."""
    # Setting an entry of a catalog drops its guard, and warns.
    datasets = catalog._datasets
    before: Mapping[str, MemoryDataset] = {
        name: dataset
        for name in pipeline.all_outputs()
        if isinstance(dataset := datasets.get(name), MemoryDataset)
    }
    datasets.update({name: HandedOn(dataset.metadata) for name, dataset in before.items()})
    try:
        yield
        for name in before.keys() & pipeline.outputs():
            before[name].save(HandedOn.of(catalog, name).load())
    finally:
        datasets.update(before)
