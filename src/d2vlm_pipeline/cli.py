"""The command lines: `d2vlm`, what a person does around a run, and the project's part of `kedro`."""

from pathlib import Path
from typing import Any

import click

from d2vlm_pipeline import __version__
from d2vlm_pipeline.artifacts import UserError

# Wherever a command imports inside its body, it is so that `d2vlm --help` answers at once.


class _OneLineErrors(click.Group):
    """A group whose commands end with one line and exit code 2 where the user can mend the matter."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(str(error), err=True)
            ctx.exit(2)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Ask videos, check data, plan training. Pipelines run under `kedro run`."""


_ENV = click.option("--env", default="base", show_default=True, help="Environment: a folder of conf/.")


@main.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("question")
@click.option("--json", "as_json", is_flag=True, help="Print the whole prediction as JSON.")
@_ENV
def ask(video: Path, question: str, as_json: bool, env: str) -> None:
    """Ask the champion a QUESTION about a VIDEO; every claim comes with the seconds that prove it."""
    from d2vlm_pipeline.serving.ask import ask as answer

    prediction = answer(video, question, env)
    click.echo(prediction.model_dump_json(indent=2) if as_json else prediction.answer)


@main.command()
@click.option("--gpus", type=click.IntRange(min=1), help="Instead of what the phases say.")
@click.option("--frames", type=click.IntRange(min=1), help="Of a clip; by default as many as it may have.")
@click.option("--json", "as_json", is_flag=True, help="Print numbers, and DeepSpeed's settings, as JSON.")
@_ENV
def plan(env: str, gpus: int | None, frames: int | None, as_json: bool) -> None:
    """Count an environment's parameters and foretell GPU memory. Loads no weights."""
    import json

    from d2vlm_pipeline.orchestration.project import find_project
    from d2vlm_pipeline.orchestration.ray_settings import ray_settings
    from d2vlm_pipeline.orchestration.summary import default_console
    from d2vlm_pipeline.training.plan_table import plan_tables
    from d2vlm_pipeline.training.planning import plan_environment

    conf = find_project() / "conf"
    found, ray = plan_environment(conf, env, gpus, frames), ray_settings(conf, env)
    if as_json:
        click.echo(json.dumps({**found.as_json(), "ray": ray.model_dump(mode="json")}, indent=2))
    else:
        for table in plan_tables(found):
            default_console().print(table, soft_wrap=True)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
def replay(directory: Path) -> None:
    """Say why a step's loss or gradient was no number.

    DIRECTORY is the saved step that the failed run named; it runs again under watch.
    """
    from d2vlm_pipeline.training.culprit import replay as run_again

    for line in run_again(directory).lines():
        click.echo(line)


@main.group()
def data() -> None:
    """Check data."""


@data.command()
@click.option("--world", is_flag=True, required=True, help="The certificate of the demo world.")
@_ENV
@click.pass_context
def check(ctx: click.Context, world: bool, env: str) -> None:
    """Show what the demo world promises beside what was measured; exit code 1 where a promise is broken."""
    from d2vlm_pipeline.orchestration.project import find_project, load_dataset

    certificate = load_dataset(find_project(), env, "world_certificate")
    checks = certificate["checks"]
    for row in checks:
        click.echo(f"{'ok' if row['passed'] else 'BROKEN':<8}{row['name']}: {row['value']} ({row['limit']})")
    for row in certificate["skipped"]:
        click.echo(f"{'skipped':<8}{row['name']}: {row['reason']}")
    ctx.exit(0 if all(row["passed"] for row in checks) else 1)


@main.group()
def preferences() -> None:
    """Make preference pairs from samples alone."""


@preferences.command()
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File of pairs to write.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML of what to draw: docs/preferences.md.")
@click.option("--durations", type=click.Path(path_type=Path), help="JSON: seconds by video; else by events.")
@click.option("--split", default="train", show_default=True, help="Whose samples; no others lend words.")
@click.option("--epoch", type=click.IntRange(min=0), help="This set of pairs alone: each number a new one.")
@click.option("--form", type=click.Choice(["ours", "authors"]), default="ours", show_default=True)
@click.option("--audit", type=click.Path(path_type=Path), help="Folder for statistics, audit and picture.")
def synthesize(
    samples: Path,
    out: Path,
    config: Path | None,
    durations: Path | None,
    split: str,
    epoch: int | None,
    form: str,
    audit: Path | None,
) -> None:
    """Write preference pairs for SAMPLES, JSON lines, each wrong in exactly what it records.

    Needs no videos, no features and no model.
    """
    from d2vlm_pipeline.preferences.command import run

    for line in run(samples, out, config, durations, split, epoch, form, audit):
        click.echo(line)


class _KedroCommands(click.Group):
    """The project's own commands of `kedro`; they override Kedro's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "run":
            return None
        from d2vlm_pipeline.orchestration.run_command import run

        return run


# Kedro imports this module and takes the group by this name.
cli = _KedroCommands(name="d2vlm_pipeline")
