"""How a command ends when a person can mend what went wrong: one line, exit code 2, no traceback."""

import sys
from typing import NoReturn

import click

from d2vlm_pipeline.artifacts import UserError, disk_reason, is_full
from d2vlm_pipeline.tracking import store_trouble


def fail(message: str, exit_code: int = 2) -> NoReturn:
    """Print the message alone to standard error and end the command."""
    click.echo(message, err=True)
    raise SystemExit(exit_code)


def told(error: BaseException) -> str | None:
    """The line for whoever started the command, where they can mend what went wrong; else None.

    Where the disk or MLflow's store fails at the end of a run that had failed already, the first failure
    counts.
    """
    if (found := user_error_in(error)) is not None:
        return str(found)
    trouble, reason = store_trouble(error), disk_reason(error)
    if trouble is None and reason is None:
        return None
    if (first := _first_user_error(error)) is not None:
        return str(first)
    what = f"{reason}; make room" if reason and is_full(reason) else f"{reason}; see to the disk"
    again = "then run the same command again: what is finished stays"
    return f"{_place(error, trouble)}: {trouble or what}, {again}"


def _first_user_error(error: BaseException | None) -> UserError | None:
    found = None
    while error is not None:
        found = error if isinstance(error, UserError) else found
        error = error.__cause__ or error.__context__
    return found


def _place(error: BaseException | None, trouble: str | None) -> str:
    """The file that an error names, or else MLflow's store, which names none."""
    while error is not None and trouble is None:
        if isinstance(error, OSError) and error.filename is not None:
            return str(error.filename)
        error = error.__cause__ or error.__context__
    mlflow = sys.modules.get("mlflow")
    return f"MLflow's store {mlflow.get_tracking_uri()}" if mlflow else "a file of this run"


def user_error_in(error: BaseException | None) -> UserError | None:
    """The UserError that `error` is or was raised from: Kedro wraps what data raises while it is saved."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error
