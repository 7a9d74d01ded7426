"""How a command ends when a person can mend what went wrong: one line, exit code 2, no traceback."""

from typing import NoReturn

import click

from d2vlm_pipeline.artifacts import UserError


def fail(message: str, exit_code: int = 2) -> NoReturn:
    """Print the message alone to standard error and end the command."""
    click.echo(message, err=True)
    raise SystemExit(exit_code)


def user_error_in(error: BaseException | None) -> UserError | None:
    """The UserError that `error` is or was raised from: Kedro wraps what data raises while it is saved."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error
