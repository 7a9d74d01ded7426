"""The team's MLflow on one machine: PostgreSQL, S3, passwords and allowed hosts, all of it on loopback.

    python mlflow/team.py             until Ctrl-C; database and secrets stay in mlruns/team-server
    python mlflow/team.py --smoke     starts it in a folder of its own, tries it, ends it

It is what compose.yml starts, with Debian's PostgreSQL and with moto for S3. moto keeps artifacts in memory:
they end with it, so that this is for trying and for tests. Nothing is installed by it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from services import BUCKET, LOOPBACK, free_port, object_store, postgres, process, status, wait

from d2vlm_pipeline.artifacts import UserError

HERE = Path(__file__).parent
SECRETS = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "PGPASSWORD")


@dataclass(frozen=True)
class Team:
    """A running server, as its administrator reaches it; `folder` holds the logs of its three processes."""

    address: str
    password: str
    folder: Path
    username: str = "admin"

    @property
    def environment(self) -> dict[str, str]:
        """What MLflow's clients, and `--env team`, read."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": self.username,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }


@contextmanager
def team_server(
    folder: Path, port: int = 0, hosts: Sequence[str] = (), is_durable: bool = True
) -> Iterator[Team]:
    """Run database, object store and server until the block ends.

    Args:
        folder: where database, secrets and logs lie; made where it is missing.
        port: of the server; 0 for a free one.
        hosts: names beside loopback by which clients may call it.
        is_durable: whether the database forces its writes to the disk; tests need not wait for that.

    Raises:
        UserError: PostgreSQL or moto is not installed, a folder or port cannot be used, or one of the three
            ends before it is ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = _secrets(folder / "secrets.env")
    port = port or free_port()
    with ExitStack() as running:
        database = running.enter_context(postgres(folder, kept["PGPASSWORD"], is_durable))
        store = running.enter_context(object_store(folder))
        environment = {**os.environ, **kept, **database, **store, **_server_settings(port, hosts)}
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
        command += [
            "--backend-store-uri",
            "postgresql+psycopg2:///mlflow",
            "--artifacts-destination",
            f"s3://{BUCKET}",
        ]
        command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
        address = f"http://{LOOPBACK}:{port}"
        server = running.enter_context(process("mlflow", command, folder, environment))
        wait("mlflow", server, folder, lambda: status(f"{address}/health") == 200)
        yield Team(address, kept["MLFLOW_AUTH_ADMIN_PASSWORD"], folder)


def _server_settings(port: int, hosts: Sequence[str]) -> dict[str, str]:
    names = [LOOPBACK, "localhost", *hosts]
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(HERE / "basic_auth.ini"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{name}:{port}" for name in names),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Eight processes more, for evaluations that the server would run; this project has none.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _secrets(path: Path) -> dict[str, str]:
    """Passwords of this set-up: made once, readable by their owner alone."""
    if not path.exists():
        made = "".join(f"{name}={secrets.token_urlsafe(24)}\n" for name in SECRETS)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(made)
    lines = path.read_text(encoding="utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if missing := [name for name in SECRETS if not found.get(name)]:
        raise UserError(f"{path}: {missing[0]} is missing; add it, or remove the folder to begin anew")
    return found


def smoke(team: Team) -> list[str]:
    """Try a running server; one line for each thing that holds.

    Raises:
        UserError: one does not.
    """
    import mlflow
    from mlflow.tracking import MlflowClient

    search = f"{team.address}/api/2.0/mlflow/experiments/search?max_results=1"
    os.environ.update({**team.environment, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
    client = MlflowClient(team.address, team.address)
    mlflow.set_tracking_uri(team.address)
    experiment = client.create_experiment(f"smoke-{secrets.token_hex(4)}")
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "kept", "note.txt")
    location = client.get_experiment(experiment).artifact_location
    checks = {
        "without a password nobody reads": status(search) == 401,
        "a foreign Host header is refused": status(search, {"Host": "evil.example"}) == 403,
        "artifacts go through the server": location.startswith("mlflow-artifacts:"),
        "and come back": mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == "kept",
    }
    if failed := [name for name, holds in checks.items() if not holds]:
        raise UserError(f"{team.address}: does not hold: {'; '.join(failed)}; see the logs in {team.folder}")
    return list(checks)


def main() -> None:
    """Start, say where, wait."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "mlruns/team-server")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--host", action="append", default=[], help="a further name that clients may use")
    parser.add_argument("--smoke", action="store_true", help="start, try and end it in a folder of its own")
    given = parser.parse_args()
    # A signal ends the three processes as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _try_it() if given.smoke else _keep_running(given.folder.absolute(), given.port, given.host)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def _try_it() -> None:
    folder = Path(tempfile.mkdtemp(prefix="d2vlm-team-"))
    folder.chmod(0o755)
    try:
        with team_server(folder, is_durable=False) as team:
            print("\n".join(smoke(team)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_running(folder: Path, port: int, hosts: Sequence[str]) -> None:
    with team_server(folder, port, hosts) as team:
        print(f"{team.address} as {team.username}; its password is in {folder / 'secrets.env'}")
        print("Ctrl-C ends it; artifacts are in moto's memory and end with it.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
