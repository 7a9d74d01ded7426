"""MLflow's SQLite file, which appears with all of its tables or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from d2vlm_pipeline.artifacts import disk_told, new_temporary


def make_database(database: Path) -> None:
    """Make the file and its folder where there is none.

    MLflow makes its tables one after the other, over seconds. Of a file whose making was interrupted it later
    says that a table exists already, for ever: so it is made aside, and linked into place when it is whole.

    Raises:
        DiskError: there is no room for it.
    """
    if database.exists():
        return
    from mlflow.tracking import MlflowClient

    aside = new_temporary(database)
    try:
        with disk_told(database, aside):
            aside.mkdir()
            made = aside / database.name
            MlflowClient(tracking_uri=f"sqlite:///{made}", registry_uri=f"sqlite:///{made}").search_experiments()
            with suppress(FileExistsError):  # another process was faster: its runs may be in there by now
                os.link(made, database)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
