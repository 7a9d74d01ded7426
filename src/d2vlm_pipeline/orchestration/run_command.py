"""`kedro run`, with errors a person can mend as one line."""

import copy
import os
from functools import wraps
from pathlib import Path
from typing import Any

from kedro.framework import project
from kedro.framework.cli.project import run as kedro_run
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import ParameterValidationError

from d2vlm_pipeline.orchestration.checks import (
    check_pipelines,
    check_root_seed,
    check_runtime_parameters,
    parameter_error,
)
from d2vlm_pipeline.orchestration.errors import fail, user_error_in


def _run(**options: Any) -> Any:
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    conf = Path(options["conf_source"] or root / project.settings.CONF_SOURCE)
    env = options["env"] or os.environ.get("KEDRO_ENV")
    try:
        check_pipelines(str(project.PACKAGE_NAME), filter(None, [options["pipeline"], *options["pipelines"]]))
        check_root_seed(conf, env)
        check_runtime_parameters(conf, env, options["params"])
        return kedro_run.callback(**options)  # type: ignore[misc]
    except ParameterValidationError as error:
        described = parameter_error(conf, env, options["params"], dict(project.pipelines))
        fail(described or " ".join(str(error).split()))
    except Exception as error:
        mendable = user_error_in(error)
        if mendable is None:
            raise
        fail(str(mendable))


run = copy.copy(kedro_run)
run.callback = wraps(kedro_run.callback)(_run)  # type: ignore[arg-type]
