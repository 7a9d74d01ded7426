"""What `d2vlm data` does: check and export, printed for people or for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.project import find_project, load_dataset

if TYPE_CHECKING:
    from d2vlm_pipeline.timeline import Prediction

_Name = TypeVar("_Name", bound=str)


def show_certificate(env: str | None) -> bool:
    """Print what the demo world promises beside what was measured; whether every promise is kept.

    Raises:
        UserError: it has not been certified yet.
    """
    certificate = load_dataset(find_project(), env, "world_certificate")
    checks = certificate["checks"]
    for row in checks:
        click.echo(f"{'ok' if row['passed'] else 'BROKEN':<8}{row['name']}: {row['value']} ({row['limit']})")
    for row in certificate["skipped"]:
        click.echo(f"{'skipped':<8}{row['name']}: {row['reason']}")
    return all(row["passed"] for row in checks)


def check_files(
    env: str | None,
    manifest: Path | None,
    format_name: str | None,
    videos: Path | None,
    workers: int,
    decode: bool,
    as_json: bool,
) -> bool:
    """Print the dry run; whether ingestion would leave nothing out.

    Raises:
        UserError: there is nothing to check, or a file is missing or not in its format at all.
    """
    from d2vlm_pipeline.annotations import FORMATS
    from d2vlm_pipeline.orchestration.data_check import check_data, configured_data
    from d2vlm_pipeline.orchestration.data_check_table import check_tables
    from d2vlm_pipeline.orchestration.summary import default_console

    conf = find_project() / "conf"
    chosen = _one_of(format_name, FORMATS) if format_name is not None else None
    data = configured_data(conf, env, manifest, chosen, videos)
    report = check_data(conf, env, data, workers, decode)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        for table in check_tables(report):
            default_console().print(table, soft_wrap=True)
    return report.is_clean


def export_file(
    env: str | None, path: Path, format_name: str, system: str | None = None, split: str | None = None
) -> None:
    """Write an environment's samples, or a system's predictions, and print what was left out.

    Raises:
        UserError: there are none yet, or no such format.
    """
    from d2vlm_pipeline.annotations import durations_of
    from d2vlm_pipeline.annotations.export import EXPORT_FORMATS, export_samples

    root = find_project()
    samples = load_dataset(root, env, "samples")
    durations = durations_of(load_dataset(root, env, "video_table"))
    kept = [sample.id for sample in samples if split in (None, sample.split)]
    if system is None:
        report = export_samples(samples, durations, path, _one_of(format_name, EXPORT_FORMATS), set(kept))
        said = f"{len(kept)} samples"
    else:
        from d2vlm_pipeline.evaluation.public_files import ANSWER_FORMATS, export_answers

        chosen, asked = _one_of(format_name, ANSWER_FORMATS), set(kept)
        found = [answer for answer in _predictions(root, env, system) if answer.sample_id in asked]
        report = export_answers(samples, found, durations, path, chosen)
        said = f"{len(found)} predictions of {system}"
    click.echo(f"{path}: {report.rows} written, of {said}")
    for reason, count in report.refused.items():
        click.echo(f"  left out: {count} ({reason})")
    for what, count in report.lost.items():
        click.echo(f"  without their {what}: {count}")


def _predictions(root: Path, env: str | None, system: str) -> list[Prediction]:
    """What a system answered when it was last asked.

    Raises:
        UserError: nobody has asked it.
    """
    from d2vlm_pipeline.orchestration.datasets import JsonLinesDataset
    from d2vlm_pipeline.orchestration.project import data_root

    dataset = JsonLinesDataset(
        filepath=str(data_root(root, env) / "07_model_output" / f"{system}_predictions.jsonl"),
        records="d2vlm_pipeline.timeline.Prediction",
        metadata={"made_by": "evaluation"},
    )
    found: list[Prediction] = dataset.load()
    return found


def _one_of(name: str, known: tuple[_Name, ...]) -> _Name:
    for candidate in known:
        if candidate == name:
            return candidate
    raise UserError(f"no format {name!r}; use one of {', '.join(known)}")
