"""mlflow/: what the team set-up is described by, held against itself and against what is installed."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.project import tracking_config
from registry.team import HOME, script

ROOT = HOME.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((HOME / "compose.yml").read_text(encoding="utf-8"))
    return loaded


def example() -> dict[str, str]:
    lines = (HOME / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_folder_is_no_package_that_hides_mlflow() -> None:
    import mlflow

    assert not list(HOME.rglob("__init__.py"))
    assert mlflow.__file__ is not None and not Path(mlflow.__file__).is_relative_to(ROOT / "mlflow")


def test_what_compose_asks_for_is_in_the_example_and_the_other_way_round(compose: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{(\w+)", (HOME / "compose.yml").read_text(encoding="utf-8")))
    assert asked == set(example())


def test_the_example_holds_no_secret_and_the_real_file_is_ignored() -> None:
    secret = [name for name in example() if re.search("PASSWORD|SECRET|ACCESS_KEY", name)]
    assert len(secret) == 5 and all(example()[name] == "" for name in secret)
    assert "mlflow/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_secret_that_is_missing_stops_compose(compose: dict[str, Any]) -> None:
    """An empty one would start a server without it."""
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY|HOSTS", name):
                assert ":?" in value, name


def test_versions_are_pinned_as_in_the_lock(compose: dict[str, Any]) -> None:
    locked = set((ROOT / "requirements.lock").read_text(encoding="utf-8").split())
    said = (HOME / "Dockerfile").read_text(encoding="utf-8")
    pinned = [name.replace("[auth]", "") for name in re.findall(r'"([\w\[\]-]+==[\w.]+)"', said)]
    assert len(pinned) == 4 and set(pinned) <= locked
    images = [service["image"] for service in compose["services"].values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", said, re.M)
    assert len(images) == 2 and all(re.search(r":\d+\.\d+", image) for image in images)


def test_the_server_is_started_the_same_by_both() -> None:
    said, started = (HOME / "Dockerfile").read_text(), (HOME / "team.py").read_text()
    for part in ("--app-name", "basic-auth", "postgresql+psycopg2:///mlflow", "--artifacts-destination"):
        assert part in said and part in started, part
    for name in ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        assert re.search(rf'{name}"?[=:] ?"?false', said) and re.search(rf'{name}": "false', started), name


def test_no_password_is_on_a_command_line(compose: dict[str, Any]) -> None:
    assert compose["services"]["server"]["ports"] == ["127.0.0.1:5000:5000"]
    for name in ("Dockerfile", "basic_auth.ini", "team.py"):
        assert not re.search(r"postgresql\S*://\S*:\S*@", (HOME / name).read_text(encoding="utf-8")), name


def test_mlflow_reads_the_accounts_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.server.auth.config import read_auth_config

    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(HOME / "basic_auth.ini"))
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", "from the environment")
    read = read_auth_config()
    assert (read.default_permission, read.admin_username) == ("READ", "admin")
    assert read.admin_password == "from the environment"
    assert read.database_uri == "postgresql+psycopg2:///mlflow_auth"


def test_secrets_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    team = script()
    made = team._secrets(tmp_path / "secrets.env")
    assert set(made) == set(team.SECRETS) and all(len(secret) >= 32 for secret in made.values())
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert team._secrets(tmp_path / "secrets.env") == made
    (tmp_path / "secrets.env").write_text("PGPASSWORD=x\n")
    with pytest.raises(UserError, match=r"secrets\.env: MLFLOW_AUTH_ADMIN_PASSWORD is missing; add it"):
        team._secrets(tmp_path / "secrets.env")


def test_where_postgresql_is_missing_the_script_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    team = script()
    monkeypatch.setattr(sys.modules["services"], "_INSTALLED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(UserError, match="PostgreSQL is not installed; apt-get install postgresql"),
        team.team_server(tmp_path / "server"),
    ):
        pytest.fail("started without PostgreSQL")


@pytest.mark.parametrize("address", [None, "https://mlflow.example"])
def test_the_team_s_environment_finds_its_server(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address is None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    tracking = tracking_config(ROOT, "team")
    assert tracking.tracking_uri == (address or "http://127.0.0.1:5000")
    assert tracking.artifact_location is None and tracking.database is None
    assert tracking.state_directory == ROOT / "mlruns/team"
    assert os.environ.get("MLFLOW_TRACKING_URI") == address
