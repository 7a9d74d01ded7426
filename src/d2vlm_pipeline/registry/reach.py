"""A store that does not answer, or does not let one in, said in one line and soon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from d2vlm_pipeline.tracking.redact import redacted_text

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# MLflow tries seven times, for minutes: whoever waits for a command wants to know sooner.
_SOON = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_REFUSALS = (
    (
        re.compile(r"code 401|401 Client Error|UNAUTHENTICATED|not authenticated"),
        "asks who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    (
        re.compile(r"code 403|403 Client Error|PERMISSION_DENIED"),
        "does not let you do this; ask for the permission, or set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD to somebody's who has it",
    ),
    (
        re.compile(r"code 5\d\d|INTERNAL_ERROR"),
        "has failed itself; see what its log says",
    ),
    (
        re.compile(r"failed with exception|Max retries exceeded|Connection (refused|aborted)|timed out"),
        "does not answer; start it, or mend mlflow_tracking_uri in mlflow.yml",
    ),
    (
        re.compile(r"database is locked"),
        "is held locked by another process; wait for that one or end it",
    ),
    (
        re.compile(r"unable to open database file|readonly database|file is not a database|no such table"),
        "cannot be opened; bring it back, or mend mlflow_tracking_uri in mlflow.yml",
    ),
)


@contextmanager
def store_told(tracking: TrackingConfig) -> Iterator[None]:
    """Give up soon on a store that does not answer, and say which and what to do.

    Raises:
        UserError: it cannot be reached, or refuses.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name, value in _SOON.items():
        os.environ.setdefault(name, value)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        raise UserError(f"registry {redacted_text(tracking.tracking_uri)}: {trouble}") from error


def existing_store(tracking: TrackingConfig) -> MlflowClient | None:
    """A client of the store; None where it is a file that is not there, and stays so."""
    if tracking.database is not None and not tracking.database.is_file():
        return None
    return tracking_client(tracking)


def no_champion(tracking: TrackingConfig, alias: str) -> UserError:
    """There is none yet."""
    return UserError(f"no {alias} in {redacted_text(tracking.tracking_uri)}: run `kedro run` first")


def _trouble(error: Exception) -> str | None:
    said = str(error)
    return next((trouble for pattern, trouble in _REFUSALS if pattern.search(said)), None)
