"""Versions and the audit log as tables: for a terminal, and as plain lines in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from d2vlm_pipeline.registry.audit import AuditEntry
    from d2vlm_pipeline.registry.listing import ListedVersion

_ABSENT = "–"


def versions_table(versions: Sequence[ListedVersion]) -> Table:
    """A row for every version; the headline stands in the title of its column where all share one."""
    names = {version.headline for version in versions if version.headline is not None}
    headline = names.pop() if len(names) == 1 else "headline"
    table = _table("Versions", ["version", "aliases", "system", headline, "gates", "signed", "digest", "at"])
    for version in versions:
        _add(
            table,
            version.version,
            ", ".join(version.aliases),
            version.system,
            None if version.value is None else f"{version.value:.2f}",
            None if version.promoted is None else "passed" if version.promoted else "failed",
            version.signed,
            None if version.digest is None else version.digest[:12],
            datetime.fromtimestamp(version.created_ms / 1000, UTC).isoformat(" ", "minutes")[:16],
        )
    return table


def history_table(entries: Sequence[AuditEntry]) -> Table:
    """A row for every entry, oldest first."""
    table = _table("Audit log", ["entry", "at", "who", "what", "alias", "version", "before", "why"])
    for entry in entries:
        _add(
            table,
            str(entry.number),
            entry.at.removesuffix("+00:00").replace("T", " "),
            entry.who,
            entry.action,
            entry.alias,
            entry.version,
            entry.previous_version,
            entry.reason,
        )
    return table


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=name != "why", overflow="fold")
    return table


def _add(table: Table, *cells: str | None) -> None:
    table.add_row(*(escape(_ABSENT if cell is None else cell) for cell in cells))
