"""What `d2vlm models` does: the registry of an environment, printed for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.orchestration.project import find_project, project_config, tracking_of

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from d2vlm_pipeline.registry.config import RegistryConfig
    from d2vlm_pipeline.registry.keys import Keyring
    from d2vlm_pipeline.tracking import TrackingConfig


@dataclass(frozen=True)
class Registry:
    """The registry of an environment, and the alias that production reads."""

    root: Path
    env: str
    tracking: TrackingConfig
    alias: str
    config: RegistryConfig
    keyring: Keyring


@contextmanager
def registry_of(env: str) -> Iterator[Registry]:
    """The registry of an environment; a store that cannot be reached is told in one line.

    Raises:
        UserError: outside a project, no such environment, or a file of its configuration is malformed.
    """
    from yaml import YAMLError

    from d2vlm_pipeline.orchestration.registry_settings import keyring_of, registry_config

    root = find_project()
    try:
        loader = project_config(root / "conf", env)
        parameters, tracking = loader["parameters"], tracking_of(loader, root)
        config = registry_config(root, env, parameters)
    except YAMLError as error:
        raise UserError(f"{' '.join(str(error).split())} Mend the file") from None
    # Alone: gates that are being edited must not stand in the way of a rollback.
    alias = str(parameters["promotion"].get("alias", "champion"))
    found = Registry(root, env, tracking, alias, config, keyring_of(config, root))

    from d2vlm_pipeline.registry.reach import store_told

    with store_told(tracking):
        yield found


def list_models(env: str, as_json: bool) -> None:
    """Print every version, newest first."""
    from d2vlm_pipeline.orchestration.model_tables import versions_table
    from d2vlm_pipeline.registry.listing import list_versions

    with registry_of(env) as registry:
        found = list_versions(registry.tracking, registry.keyring)
    _print(found, as_json, lambda: versions_table(found))


def show_history(env: str, as_json: bool) -> None:
    """Print the audit log, oldest entry first."""
    from d2vlm_pipeline.orchestration.model_tables import history_table
    from d2vlm_pipeline.registry.audit import read_audit

    with registry_of(env) as registry:
        found = read_audit(registry.tracking, registry.keyring)
    _print(found, as_json, lambda: history_table(found))


def verify_models(env: str, version: str | None, as_json: bool) -> None:
    """Check signatures, every file and the audit log, and print what was checked.

    Raises:
        UserError: something is not as it was signed.
    """
    from d2vlm_pipeline.registry.listing import verify_versions

    with registry_of(env) as registry:
        found = verify_versions(registry.tracking, registry.alias, version, registry.keyring)
    lines = [
        f"version {one.version} ({', '.join(one.aliases) or 'no alias'}): {one.files} files and the evidence "
        f"are as key {_fingerprint(one.key)} signed them"
        for one in found
    ]
    _print(found, as_json, lambda: "\n".join([*lines, "the audit log is whole"]))


def promote_model(env: str, version: str, reason: str | None, as_json: bool) -> bool:
    """Decide again about a version by its evidence, and print the gates; whether it has the alias now.

    Raises:
        UserError: see `promote_version`; or the policy is malformed.
    """
    from d2vlm_pipeline.orchestration.checks import typed_parameter
    from d2vlm_pipeline.registry.policy import Policy
    from d2vlm_pipeline.registry.promote import promote_version

    with registry_of(env) as registry:
        policy = typed_parameter(registry.root / "conf", env, "promotion", Policy)
        outcome = promote_version(version, policy, registry.tracking, reason, registry.keyring)
    if as_json:
        _print(outcome, as_json)
    else:
        from d2vlm_pipeline.registry.gate_table import gate_table

        _print(outcome, as_json, lambda: gate_table(outcome.decision))
        click.echo(outcome.reason)
    return outcome.moved or outcome.is_champion


def roll_back(env: str, version: str | None, reason: str | None, as_json: bool) -> None:
    """Give the alias back, and print to whom and what it answered.

    Raises:
        UserError: see `rollback`.
    """
    from d2vlm_pipeline.registry.rollback import rollback

    with registry_of(env) as registry:
        outcome = rollback(
            registry.tracking,
            registry.alias,
            version,
            reason,
            registry.keyring,
            registry.config.smoke,
        )
    came_from = "" if outcome.previous_version is None else f" (from version {outcome.previous_version})"
    _print(
        outcome,
        as_json,
        lambda: (
            f"{outcome.alias}: version {outcome.version}{came_from}\n"
            f"asked {outcome.answer.question!r} it answered {outcome.answer.answer!r}"
        ),
    )


def _print(record: StrictModel | Sequence[StrictModel], as_json: bool, shown: Any = None) -> None:
    """Print a record as JSON, or what is shown of it: text, or a table as it is."""
    if as_json:
        plain = record.model_dump(mode="json") if isinstance(record, StrictModel) else _plain(record)
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    content: str | Table = shown()
    if isinstance(content, str):
        click.echo(content)
        return
    from d2vlm_pipeline.orchestration.summary import default_console

    default_console().print(content, soft_wrap=True)


def _plain(records: Sequence[StrictModel]) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]


def _fingerprint(key: str) -> str:
    from d2vlm_pipeline.registry.keys import fingerprint

    return fingerprint(key)
