"""The team's server: who may call it by which name, who may read, and who may promote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow.exceptions import MlflowException

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.registry import promote, resolve_champion
from d2vlm_pipeline.registry.keys import KEY_VARIABLE
from d2vlm_pipeline.tracking import TrackingConfig
from registry.records import dossier, policy
from registry.team import team_server

pytestmark = pytest.mark.slow

PASSWORD = "twelve letters or more"


@dataclass(frozen=True)
class Store:
    """A team's server with a champion in it that its administrator has promoted."""

    team: Any
    tracking: TrackingConfig
    folder: Path

    def model(self, weights: str) -> Path:
        directory = self.folder / weights
        with atomic_directory(directory) as inside:
            (inside / "model.safetensors").write_text(weights)
        return directory

    def call(self, method: str, path: str, username: str | None = None, **given: Any) -> requests.Response:
        password = self.team.password if username == self.team.username else PASSWORD
        address = f"{self.team.address}/api/2.0/{path}"
        auth = (username, password) if username else None
        return requests.request(method, address, auth=auth, timeout=30.0, **given)


def be(patch: pytest.MonkeyPatch, username: str | None, password: str = PASSWORD) -> None:
    """What MLflow's client says of itself from here on; None for nothing."""
    for name, value in (("USERNAME", username), ("PASSWORD", password if username else None)):
        if value is None:
            patch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
        else:
            patch.setenv(f"MLFLOW_TRACKING_{name}", value)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, key_file: Path) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("team")
    with team_server() as team, pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, str(key_file))
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        be(patch, team.username, team.password)
        tracking = TrackingConfig(
            tracking_uri=team.address, artifact_root=None, state_dir=str(folder / "state")
        )
        store = Store(team, tracking, folder)
        assert promote(store.model("first"), dossier(), policy(), tracking).moved
        reader = {"username": "reader", "password": PASSWORD}
        assert store.call("POST", "mlflow/users/create", "admin", json=reader).status_code == 200
        yield store


def test_artifacts_come_back_through_the_server_to_clients_without_keys_of_s3(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, "reader")
    elsewhere = store.tracking.model_copy(update={"state_dir": str(tmp_path / "elsewhere")})
    champion = resolve_champion(elsewhere)
    assert (champion.path / "model.safetensors").read_text() == "first"
    assert champion.path.is_relative_to(tmp_path / "elsewhere")


def test_a_foreign_host_header_is_refused(store: Store) -> None:
    for host, status in (("evil.example", 403), (store.team.address.removeprefix("http://"), 200)):
        answer = store.call("GET", "mlflow/registered-models/search", "admin", headers={"Host": host})
        assert answer.status_code == status, host
    assert store.call("GET", "mlflow/registered-models/search", "admin", headers={"Host": "x"}).text == (
        "Invalid Host header - possible DNS rebinding attack detected"
    )


MODEL = {"name": "d2vlm"}
ALIAS = {**MODEL, "alias": "champion"}
READING = [
    ("GET", "mlflow/registered-models/search", {}),
    ("GET", "mlflow/registered-models/alias", {"params": ALIAS}),
    ("POST", "mlflow/runs/search", {"json": {"experiment_ids": ["1"]}}),
    ("GET", "mlflow-artifacts/artifacts", {"params": {"path": "1"}}),
]
PROMOTING = [
    ("POST", "mlflow/registered-models/alias", {"json": {**ALIAS, "version": "1"}}),
    ("DELETE", "mlflow/registered-models/alias", {"params": ALIAS}),
    ("POST", "mlflow/model-versions/create", {"json": {**MODEL, "source": "runs:/x/y"}}),
    ("POST", "mlflow/model-versions/set-tag", {"json": {**MODEL, "version": "1", "key": "k", "value": "v"}}),
]


@pytest.mark.parametrize(("method", "path", "given"), [*READING, *PROMOTING])
def test_without_a_password_one_can_neither_read_nor_promote(
    store: Store, method: str, path: str, given: dict[str, Any]
) -> None:
    assert store.call(method, path, **given).status_code == 401


@pytest.mark.parametrize(("method", "path", "given"), READING)
def test_whoever_has_an_account_may_read(store: Store, method: str, path: str, given: dict[str, Any]) -> None:
    assert store.call(method, path, "reader", **given).status_code == 200


@pytest.mark.parametrize(("method", "path", "given"), PROMOTING)
def test_whoever_may_only_read_cannot_promote(
    store: Store, method: str, path: str, given: dict[str, Any]
) -> None:
    assert store.call(method, path, "reader", **given).status_code == 403


@pytest.mark.parametrize("username", [None, "reader", "stranger"])
def test_a_promotion_by_somebody_who_may_not_changes_nothing(
    store: Store, username: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        be(patch, username)
        with pytest.raises((UserError, MlflowException)):
            promote(store.model(f"by-{username}"), dossier(tvg=90.0), policy(), store.tracking)
    assert resolve_champion(store.tracking).version == "1"


def test_secrets_are_on_no_command_line(store: Store) -> None:
    import psutil

    kept = (store.team.folder / "secrets.env").read_text().split()
    secrets = [line.partition("=")[2] for line in kept]
    shown = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any(str(store.team.folder) in line for line in shown), "PostgreSQL runs there"
    assert not [secret for secret in secrets for line in shown if secret in line]
