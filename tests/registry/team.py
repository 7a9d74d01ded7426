"""mlflow/team.py, which is a script beside the project and no module of it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOME = Path(__file__).parents[2] / "mlflow"


def script() -> ModuleType:
    """The script, loaded by its path as Python does that runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HOME))
        spec = spec_from_file_location("team_server", HOME / "team.py")
        assert spec and spec.loader
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


@contextmanager
def team_server() -> Iterator[Any]:
    """A running team server in a folder of its own, which PostgreSQL's user can enter."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="d2vlm-team-"))
    folder.chmod(0o755)
    try:
        with script().team_server(folder, is_durable=False) as team:
            yield team
    finally:
        shutil.rmtree(folder, ignore_errors=True)
