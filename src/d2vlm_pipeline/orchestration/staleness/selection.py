"""What a `kedro run` would run, worked out without starting it: no hooks are called, nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kedro.framework import project
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from d2vlm_pipeline.orchestration.project import project_config, tracking_of
from d2vlm_pipeline.orchestration.staleness.decide import Verdict, decide
from d2vlm_pipeline.orchestration.staleness.plan import plan_run

SKIPPED: ContextVar[tuple[str, ...]] = ContextVar("skipped", default=())
"""Nodes of what was asked for that the present run leaves out, because they are up to date."""


def judge_run(root: Path, conf: Path, options: Mapping[str, Any], is_forced: bool) -> list[Verdict]:
    """A verdict for every node that the options of `kedro run` select."""
    config = project_config(conf, options["env"], options["params"])
    entries = _convert_paths_to_absolute_posix(root, config["catalog"])
    catalog = DataCatalog.from_config(catalog=entries, load_versions=options["load_versions"])
    whole, pipeline = selected(options)
    plan = plan_run(
        pipeline,
        catalog,
        config["parameters"],
        root,
        data_root=root / config["globals"]["data_root"],
        tracking=tracking_of(config, root),
        around=whole,
    )
    return decide(plan, pipeline, is_forced)


def selected(options: Mapping[str, Any]) -> tuple[Pipeline, Pipeline]:
    """The pipelines that are named, and what the options select of them, as Kedro's own session does."""
    names = [options["pipeline"]] if options["pipeline"] else list(options["pipelines"])
    project.pipelines.set_requested(names or None)
    whole = sum((project.pipelines[name] for name in names or ["__default__"]), Pipeline([]))
    return whole, whole.filter(
        tags=options["tags"],
        from_nodes=options["from_nodes"],
        to_nodes=options["to_nodes"],
        node_names=options["node_names"],
        from_inputs=options["from_inputs"],
        to_outputs=options["to_outputs"],
        node_namespaces=options["namespaces"],
    )
