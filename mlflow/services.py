"""What the team's server stands on, on one machine: processes, Debian's PostgreSQL, and moto for S3."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError

LOOPBACK = "127.0.0.1"
BUCKET = "d2vlm"
DATABASES = ("mlflow", "mlflow_auth")
_INSTALLED = Path("/usr/lib/postgresql")  # where Debian puts it, by version
_READY_S = 120.0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres(folder: Path, password: str, is_durable: bool) -> Iterator[dict[str, str]]:
    """A server with both databases; gives the variables by which clients of PostgreSQL find it.

    Raises:
        UserError: it is not installed, or cannot use the folder.
    """
    home, port = folder / "postgres", free_port()
    programs = _programs()
    if not (home / "data" / "PG_VERSION").exists():
        _make_cluster(programs, home, password, is_durable)
    command = [str(programs / "postgres"), "-D", str(home / "data"), "-c", f"listen_addresses={LOOPBACK}"]
    command += ["-c", f"port={port}", "-c", "unix_socket_directories="]
    if not is_durable:
        command += ["-c", "fsync=off", "-c", "synchronous_commit=off"]
    variables = {"PGHOST": LOOPBACK, "PGPORT": str(port), "PGUSER": "mlflow", "PGPASSWORD": password}
    with process("postgres", _as_postgres(command), folder, os.environ, signal.SIGINT) as server:
        wait("postgres", server, folder, lambda: _make_databases(variables))
        yield variables


def _programs() -> Path:
    found = sorted(_INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if (path := shutil.which("initdb")) is not None:
        return Path(path).parent
    raise UserError("PostgreSQL is not installed; apt-get install postgresql")


def _as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as the user that Debian made for it."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]


def _make_cluster(programs: Path, home: Path, password: str, is_durable: bool) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    given = home / "password"
    given.write_text(f"{password}\n", encoding="utf-8")
    if os.geteuid() == 0:
        for path in (home, given):
            shutil.chown(path, "postgres", "postgres")
    if subprocess.run(_as_postgres(["test", "-w", str(home)]), cwd="/", check=False).returncode:
        raise UserError(f"{home}: user postgres cannot reach it; choose a --folder that others may enter")
    command = [str(programs / "initdb"), "-D", str(home / "data"), "--username=mlflow", "--encoding=UTF8"]
    command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={given}"]
    command += [] if is_durable else ["--no-sync"]
    done = subprocess.run(_as_postgres(command), cwd="/", capture_output=True, text=True, check=False)
    given.unlink()
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        shutil.rmtree(home)
        raise UserError(
            f"{home}: PostgreSQL cannot make its files there ({reason}); mend that or choose another"
        )


def _make_databases(variables: Mapping[str, str]) -> bool:
    """Make what is missing; whether the server answers yet."""
    import psycopg2

    try:
        connection = psycopg2.connect(
            host=variables["PGHOST"],
            port=variables["PGPORT"],
            user=variables["PGUSER"],
            password=variables["PGPASSWORD"],
            dbname="postgres",
        )
    except psycopg2.OperationalError:
        return False
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        there = {name for (name,) in cursor.fetchall()}
        for name in DATABASES:
            if name not in there:
                cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return True


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server with the bucket; gives the variables by which MLflow's server finds it.

    Raises:
        UserError: moto is not installed.
    """
    from importlib.util import find_spec

    if find_spec("moto") is None or find_spec("flask_cors") is None:
        raise UserError('moto is not installed; pip install -e ".[dev]"')
    port = free_port()
    address = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with process("moto", command, folder, os.environ) as server:
        wait("moto", server, folder, lambda: status(f"{address}/moto-api/") == 200)
        variables = {
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "team",
            "AWS_SECRET_ACCESS_KEY": "team",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        _make_bucket(variables)
        yield variables


def _make_bucket(variables: Mapping[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=variables["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)


@contextmanager
def process(
    name: str,
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a log in the folder; it, and what it has started, is ended with the block."""
    with (folder / f"{name}.log").open("ab") as log:
        running = subprocess.Popen(
            command, cwd="/", env=dict(environment), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield running
    finally:
        running.send_signal(end)
        with suppress(subprocess.TimeoutExpired):
            running.wait(20.0)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def wait(name: str, running: subprocess.Popen[bytes], folder: Path, is_ready: Callable[[], bool]) -> None:
    """Until a process is ready.

    Raises:
        UserError: it ends before, or takes too long.
    """
    deadline_s = time.monotonic() + _READY_S
    while not is_ready():
        if running.poll() is not None or time.monotonic() > deadline_s:
            raise UserError(f"{name} does not start; see {folder / f'{name}.log'}")
        time.sleep(0.1)


def status(address: str, headers: Mapping[str, str] | None = None) -> int | None:
    """HTTP status of an answer; None where nobody answers."""
    import requests

    try:
        return requests.get(address, headers=dict(headers or {}), timeout=10.0).status_code
    except requests.RequestException:
        return None
