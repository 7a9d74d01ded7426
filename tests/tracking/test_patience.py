"""A locked database is waited for and told of; what has become of a store is said in plain words."""

import logging
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from d2vlm_pipeline.tracking import patience, store_trouble, wait_for_locks


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with a table, and people who are told at once."""
    monkeypatch.setattr(patience, "_TOLD_AFTER_S", 0.05)
    monkeypatch.setattr(patience, "_patience_s", patience._patience_s)  # as it was, for other tests
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (id TEXT)")
    return path


def locked(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def insert(database: Path) -> None:
    with create_engine(f"sqlite:///{database}").begin() as connection:
        connection.execute(text("INSERT INTO runs VALUES ('a')"))


def test_a_statement_waits_until_the_lock_is_gone_and_says_so(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wait_for_locks(60.0)
    other = locked(database)
    release = threading.Timer(0.5, other.rollback)
    release.start()
    with caplog.at_level(logging.WARNING):
        insert(database)
    release.join()
    assert "another process may hold it locked; waiting up to 60 s" in caplog.text


def test_patience_ends(database: Path) -> None:
    wait_for_locks(0.1)
    other = locked(database)
    with pytest.raises(OperationalError) as error:
        insert(database)
    assert store_trouble(error.value) == "another process holds it locked, too long to wait for; end that one"
    other.rollback()
    insert(database)


def test_an_answer_in_time_is_not_told_of(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    wait_for_locks(60.0)
    insert(database)
    assert "locked" not in caplog.text


def test_a_table_that_is_gone_is_told_as_a_store_that_is(tmp_path: Path) -> None:
    with pytest.raises(OperationalError) as error:
        insert(tmp_path / "new.db")
    assert str(store_trouble(error.value)).startswith("it is not there any more or cannot be written")


def test_errors_of_others_are_not_the_store_s() -> None:
    assert store_trouble(ValueError("database is locked")) is None
    assert store_trouble(None) is None
