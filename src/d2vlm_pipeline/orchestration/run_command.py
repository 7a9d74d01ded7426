"""`kedro run`, with what is missing or stale alone, and errors a person can mend as one line."""

import copy
import os
from functools import wraps
from pathlib import Path
from typing import Any

import click
from kedro.framework import project
from kedro.framework.cli.project import run as kedro_run
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import ParameterValidationError

from d2vlm_pipeline.artifacts import Interrupted, UserError
from d2vlm_pipeline.orchestration.checks import (
    check_pipelines,
    check_root_seed,
    check_runtime_parameters,
    parameter_error,
)
from d2vlm_pipeline.orchestration.errors import fail, told, user_error_in
from d2vlm_pipeline.orchestration.staleness.selection import SKIPPED, judge_run
from d2vlm_pipeline.orchestration.staleness.shown import left_out, nothing_to_do, verdict_table
from d2vlm_pipeline.orchestration.summary import default_console
from d2vlm_pipeline.tracking import give_up, store_trouble


def _run(*, force: bool, explain: bool, **options: Any) -> Any:
    root = Path(find_kedro_project(Path.cwd()) or Path.cwd())
    conf = Path(options["conf_source"] or root / project.settings.CONF_SOURCE)
    env = options["env"] or os.environ.get("KEDRO_ENV")
    try:
        check_pipelines(str(project.PACKAGE_NAME), filter(None, [options["pipeline"], *options["pipelines"]]))
        check_root_seed(conf, env)
        check_runtime_parameters(conf, env, options["params"])
        if options["only_missing_outputs"]:
            return _run_missing(force or explain, options)
        return _run_stale(root, conf, {**options, "env": env}, force, explain)
    except ParameterValidationError as error:
        described = parameter_error(conf, env, options["params"], dict(project.pipelines))
        fail(described or " ".join(str(error).split()))
    except Exception as error:
        if store_trouble(error) is not None:
            give_up()  # nobody waits for it any more, and the last line is to be the last
        line = told(error)
        if line is None:
            raise
        stopped = user_error_in(error)
        code = stopped.exit_code if isinstance(stopped, Interrupted) else 2
        fail(line, code)


def _run_stale(root: Path, conf: Path, options: dict[str, Any], force: bool, explain: bool) -> Any:
    """Run the nodes that have something to do; or say which."""
    verdicts = judge_run(root, conf, options, force)
    if explain:
        default_console().print(verdict_table(verdicts), highlight=False, markup=False)
        return {}
    running = [verdict.node for verdict in verdicts if verdict.cause is not None]
    skipped = tuple(verdict.node for verdict in verdicts if verdict.cause is None)
    if not running:
        click.echo(nothing_to_do(verdicts))
        return {}
    if skipped:
        click.echo(left_out(verdicts))
        options = {**options, "node_names": running}
    token = SKIPPED.set(skipped)
    try:
        return kedro_run.callback(**options)  # type: ignore[misc]
    finally:
        SKIPPED.reset(token)


def _run_missing(is_judged: bool, options: dict[str, Any]) -> Any:
    if is_judged:
        raise UserError("--only-missing-outputs goes by what is there alone; leave it, or the other, out")
    return kedro_run.callback(**options)  # type: ignore[misc]


run = copy.copy(kedro_run)
run.callback = wraps(kedro_run.callback)(_run)  # type: ignore[arg-type]
run.params = [
    *kedro_run.params,
    click.Option(["--force"], is_flag=True, help="Run everything, also what is up to date."),
    click.Option(["--explain"], is_flag=True, help="Say whether each node would run, and why; run none."),
]
