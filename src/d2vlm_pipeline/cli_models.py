"""`d2vlm models`: which model production answers with, why, and how to go back."""

import click

# Wherever a command imports inside its body, it is so that `d2vlm --help` answers at once.


@click.group()
def models() -> None:
    """See, promote, roll back and verify registered models."""


_ENV = click.option("--env", default="base", show_default=True, help="Environment: a folder of conf/.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REASON = click.option("--reason", help="Why, for the audit log.")


@models.command(name="list")
@_JSON
@_ENV
def list_(as_json: bool, env: str) -> None:
    """List versions with aliases, headline score and whose signature they have."""
    from d2vlm_pipeline.orchestration.model_commands import list_models

    list_models(env, as_json)


@models.command()
@click.argument("version")
@_REASON
@_JSON
@_ENV
@click.pass_context
def promote(ctx: click.Context, version: str, reason: str | None, as_json: bool, env: str) -> None:
    """Decide again about VERSION, by its evidence and the policy, and move the alias if all gates pass.

    Exit code 1 where they do not.
    """
    from d2vlm_pipeline.orchestration.model_commands import promote_model

    ctx.exit(0 if promote_model(env, version, reason, as_json) else 1)


@models.command()
@click.argument("version", required=False)
@_REASON
@_JSON
@_ENV
def rollback(version: str | None, reason: str | None, as_json: bool, env: str) -> None:
    """Give the alias back to VERSION, by default to the champion before, once it has answered a question."""
    from d2vlm_pipeline.orchestration.model_commands import roll_back

    roll_back(env, version, reason, as_json)


@models.command()
@_JSON
@_ENV
def history(as_json: bool, env: str) -> None:
    """Show the audit log: who moved the alias, when, and why. Its chain and signatures are checked."""
    from d2vlm_pipeline.orchestration.model_commands import show_history

    show_history(env, as_json)


@models.command()
@click.argument("version", required=False)
@_JSON
@_ENV
def verify(version: str | None, as_json: bool, env: str) -> None:
    """Check the signature and every file of VERSION, by default of the champion and the one before."""
    from d2vlm_pipeline.orchestration.model_commands import verify_models

    verify_models(env, version, as_json)
