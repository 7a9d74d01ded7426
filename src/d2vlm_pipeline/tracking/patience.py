"""How long a run waits for MLflow's database while another process holds it, and what is said of it."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

logger = logging.getLogger(__name__)

_TOLD_AFTER_S = 2.0
_TIMER = "d2vlm_told"
# Of what MLflow, SQLAlchemy and SQLite say: what has happened, and what to do.
_TROUBLES = (
    (r"database is locked", "another process holds it locked, too long to wait for; end that one"),
    (
        r"unable to open database file|attempt to write a readonly database|no such table",
        "it is not there any more or cannot be written; bring its folder back",
    ),
    (r"API request to|Max retries exceeded|Connection refused", "no server answers; start it"),
)
_MODULES = ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3")

_patience_s = 5.0
_has_given_up = False


def wait_for_locks(patience_s: float) -> None:
    """From here on, databases of this process that others hold locked are waited for, and that is said.

    SQLite itself gives up after 5 s, which a copy or a backup of a large store takes longer than.

    Args:
        patience_s: how long a statement waits.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    global _patience_s, _has_given_up
    _patience_s, _has_given_up = patience_s, False
    for name, listener in _LISTENERS.items():
        if not event.contains(Engine, name, listener):
            event.listen(Engine, name, listener)


def give_up() -> None:
    """The run has ended for want of the store: what MLflow still tries as it leaves is not worth a word."""
    global _has_given_up
    _has_given_up = True


def store_trouble(error: BaseException | None) -> str | None:
    """What has become of MLflow's store, where that is what an error, or one that it came from, is about."""
    while error is not None:
        if type(error).__module__.partition(".")[0] in _MODULES:
            for said, trouble in _TROUBLES:
                if re.search(said, str(error)):
                    return trouble
        error = error.__cause__ or error.__context__
    return None


def _connected(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {int(_patience_s * 1000)}")


def _begun(connection: Any, *_: Any) -> None:
    """A statement: should it not have ended soon, somebody who watches the run is told why."""
    timer = threading.Timer(_TOLD_AFTER_S, _tell, [str(connection.engine.url)])
    timer.daemon = True
    connection.info[_TIMER] = timer
    timer.start()


def _ended(connection: Any, *_: Any) -> None:
    timer = connection.info.pop(_TIMER, None)
    if timer is not None:
        timer.cancel()


def _failed(context: ExceptionContext) -> None:
    if context.connection is not None:
        _ended(context.connection)


def _tell(url: str) -> None:
    if _has_given_up:
        return
    logger.warning(
        "%s has not answered for %g s: another process may hold it locked; waiting up to %g s",
        *(url, _TOLD_AFTER_S, _patience_s),
    )


_LISTENERS: dict[str, Callable[..., None]] = {
    "connect": _connected,
    "before_cursor_execute": _begun,
    "after_cursor_execute": _ended,
    "handle_error": _failed,
}
