"""`kedro dvc`: the project's pipelines as DVC's."""

from typing import Any

import click

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.errors import fail

_ENV = click.option("--env", help="Environment; by default as `kedro run`: conf/local on conf/base.")


class _OneLineErrors(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            fail(str(error))


@click.group(cls=_OneLineErrors)
def dvc() -> None:
    """Write dvc.yaml from the pipelines, and run its stages."""


@dvc.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where something is out of date.")
@_ENV
@click.pass_context
def sync(ctx: click.Context, env: str | None, check: bool) -> None:
    """Bring dvc.yaml and params.yaml up to date with pipelines, code, catalog and parameters.

    `--env base` leaves conf/local out.
    """
    from d2vlm_pipeline.orchestration.dvc.configuration import Place
    from d2vlm_pipeline.orchestration.dvc.sync import differences, write
    from d2vlm_pipeline.orchestration.project import find_project

    place = Place(find_project(), env)
    if not check:
        written = [path.relative_to(place.root).as_posix() for path in write(place)]
        click.echo(f"written: {', '.join(written)}" if written else "up to date")
        return
    lines = differences(place)
    for line in lines:
        click.echo(line)
    click.echo(f"out of date: run `{place.command('sync')}`" if lines else "up to date")
    ctx.exit(1 if lines else 0)


@dvc.command()
@click.argument("stage")
@_ENV
def run(stage: str, env: str | None) -> None:
    """Run the pipeline STAGE under the parameters in params.yaml: what dvc.yaml calls."""
    from d2vlm_pipeline.orchestration.dvc.configuration import Place
    from d2vlm_pipeline.orchestration.dvc.run import run_stage
    from d2vlm_pipeline.orchestration.project import find_project

    run_stage(Place(find_project(), env), stage)
