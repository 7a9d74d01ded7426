"""The command lines: `d2vlm`, what a person does around a run, and the project's part of `kedro`."""

from pathlib import Path
from typing import Any

import click

from d2vlm_pipeline import __version__
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.cli_models import models

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
    """Ask videos, score answers, check data, plan training, manage models. Pipelines run by `kedro run`."""


main.add_command(models)

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
@click.option("--gpus", type=click.IntRange(min=1), help="Instead of train.workers.")
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


@main.command()
@click.argument("run_id")
@click.option("--into", type=click.Path(path_type=Path), help="Folder of the checkout; below build/ else.")
@click.option("--despite-lock", is_flag=True, help="Go on where other packages are installed than it had.")
@click.option("--json", "as_json", is_flag=True, help="Print what was compared as JSON.")
@_ENV
@click.pass_context
def reproduce(
    ctx: click.Context, run_id: str, into: Path | None, despite_lock: bool, as_json: bool, env: str
) -> None:
    """Rebuild RUN_ID, an MLflow run, from its lineage in a clean checkout, and say what differs.

    Exit code 0 where everything is the same, 1 where something differs, 2 where it cannot be rebuilt.
    """
    from d2vlm_pipeline.orchestration.reproduce.command import lines_of
    from d2vlm_pipeline.orchestration.reproduce.command import reproduce as rebuild
    from d2vlm_pipeline.orchestration.reproduce.shown import output_table
    from d2vlm_pipeline.orchestration.summary import default_console

    found = rebuild(run_id, env, into, despite_lock)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        default_console().print(output_table(found.comparison), highlight=False, markup=False)
        click.echo("\n".join(lines_of(found)))
    ctx.exit(0 if found.is_same else 1)


_FILE = click.Path(path_type=Path)


@main.command()
@click.option("--benchmark", help="What to score: --list names them.")
@click.option("--predictions", type=_FILE, help="In the benchmark's own format.")
@click.option("--ground-truth", type=_FILE, help="Left out where the predictions carry the truth.")
@click.option("--references", type=_FILE, multiple=True, help="Instead, one of several sets of references.")
@click.option("--protocol", default="strict", show_default=True, help="Rules to score by: --list names them.")
@click.option("--json", "json_", type=_FILE, help="File to write the whole report to.")
@click.option("--html", type=_FILE, help="File to write the report to as a page for people.")
@click.option("--compare", type=_FILE, help="Other predictions on the same truth: a paired comparison.")
@click.option("--list", "is_list", is_flag=True, help="Say which benchmarks and protocols there are.")
def score(
    benchmark: str | None,
    predictions: Path | None,
    ground_truth: Path | None,
    references: tuple[Path, ...],
    protocol: str,
    json_: Path | None,
    html: Path | None,
    compare: Path | None,
    is_list: bool,
) -> None:
    """Score predictions on a public benchmark: figures, how sure they are, and what other rules would make.

    Needs no project, no videos and no model.
    """
    from d2vlm_pipeline.evaluation.benchmarks import command

    if is_list:
        lines = command.list_benchmarks()
    else:
        truths = ground_truth, references
        lines = command.run(benchmark, predictions, *truths, protocol, json_, html, compare)
    for line in lines:
        click.echo(line)


@main.group()
def data() -> None:
    """Check data."""


_DATA_ENV = click.option("--env", help="Environment; by default as `kedro run`: conf/local on conf/base.")


@data.command()
@click.argument("manifest", type=click.Path(path_type=Path), required=False)
@click.option("--format", "format_", help="Of MANIFEST, instead of data.format.")
@click.option("--videos", type=click.Path(path_type=Path), help="Folder or archive, instead of data.videos.")
@click.option("--decode", is_flag=True, help="Decode what would be sampled, too: slower, finds more damage.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--world", is_flag=True, help="Instead, the certificate of the demo world.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@_DATA_ENV
@click.pass_context
def check(
    ctx: click.Context,
    manifest: Path | None,
    format_: str | None,
    videos: Path | None,
    decode: bool,
    workers: int,
    world: bool,
    as_json: bool,
    env: str | None,
) -> None:
    """Say what ingestion would make of MANIFEST and its videos, and what a run would take.

    Without MANIFEST, of what the environment's `data` names. Exit code 1 where something would be left out.
    """
    from d2vlm_pipeline.orchestration.data_commands import check_files, show_certificate

    if world:
        is_clean = show_certificate(env)
    else:
        is_clean = check_files(env, manifest, format_, videos, workers, decode, as_json)
    ctx.exit(0 if is_clean else 1)


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_", required=True, help="samples, etbench or qvhighlights; of predictions …")
@click.option("--system", help="Instead, its predictions: in a format of d2vlm score (docs/evaluation.md).")
@click.option("--split", help="This one alone.")
@_DATA_ENV
def export(file: Path, format_: str, system: str | None, split: str | None, env: str | None) -> None:
    """Write the samples of an environment, or a system's predictions about them, to FILE.

    What the format cannot hold is counted.
    """
    from d2vlm_pipeline.orchestration.data_commands import export_file

    export_file(env, file, format_, system, split)


@main.group()
def preferences() -> None:
    """Make and check preference pairs from samples alone."""


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


@preferences.command(name="check")
@click.argument("pairs", type=click.Path(path_type=Path))
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("--durations", type=click.Path(path_type=Path), help="JSON of seconds by video.")
@click.pass_context
def prove(ctx: click.Context, pairs: Path, samples: Path, durations: Path | None) -> None:
    """Prove that PAIRS are wrong in exactly what they record, from the SAMPLES they are about.

    Exit code 1 where one is not.
    """
    from d2vlm_pipeline.preferences.command import check_files

    lines, faulty = check_files(pairs, samples, durations)
    click.echo("\n".join(lines))
    ctx.exit(1 if faulty else 0)


class _KedroCommands(click.Group):
    """The project's own commands of `kedro`; they override Kedro's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["dvc", "run"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "dvc":
            from d2vlm_pipeline.orchestration.dvc.command import dvc

            return dvc
        if cmd_name != "run":
            return None
        from d2vlm_pipeline.orchestration.run_command import run

        return run


# Kedro imports this module and takes the group by this name.
cli = _KedroCommands(name="d2vlm_pipeline")
