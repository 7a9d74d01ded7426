"""What `d2vlm data` does: check and export, printed for people or for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import click

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.project import find_project, load_dataset

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


def export_file(env: str | None, path: Path, format_name: str) -> None:
    """Write an environment's samples and print what was left out.

    Raises:
        UserError: there are no samples yet, or no such format.
    """
    from d2vlm_pipeline.annotations import durations_of
    from d2vlm_pipeline.annotations.export import EXPORT_FORMATS, export_samples

    chosen, root = _one_of(format_name, EXPORT_FORMATS), find_project()
    samples = load_dataset(root, env, "samples")
    report = export_samples(samples, durations_of(load_dataset(root, env, "video_table")), path, chosen)
    click.echo(f"{path}: {report.rows} of {len(samples)} samples")
    for reason, count in report.refused.items():
        click.echo(f"  left out: {count} ({reason})")
    for what, count in report.lost.items():
        click.echo(f"  without their {what}: {count}")


def _one_of(name: str, known: tuple[_Name, ...]) -> _Name:
    for candidate in known:
        if candidate == name:
            return candidate
    raise UserError(f"no format {name!r}; use one of {', '.join(known)}")
