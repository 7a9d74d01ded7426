"""A database of MLflow's is there with all of its tables, or it is not there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from d2vlm_pipeline.tracking import make_database

MAKE = "import sys; from pathlib import Path; from d2vlm_pipeline.tracking import make_database as make; "
MAKE += "make(Path(sys.argv[1]))"


def made_so_far(folder: Path) -> int:
    """Bytes of databases that are being made."""
    return sum(path.stat().st_size for path in folder.rglob("*.db") if path.exists())


@pytest.mark.slow
def test_killed_while_it_is_made_it_is_made_again(tmp_path: Path) -> None:
    database = tmp_path / "mlruns" / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(database)])
    while made_so_far(tmp_path) < 60_000 and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not database.exists()
    make_database(database)
    from mlflow.tracking import MlflowClient

    assert MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    assert [path.name for path in database.parent.iterdir()] == ["mlflow.db"]


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("somebody's")
    make_database(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "somebody's"
