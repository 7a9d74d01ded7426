"""The line with which a command ends: the first thing that a person can mend."""

import errno
import os
import sqlite3

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.errors import told

LOCKED = sqlite3.OperationalError("database is locked")


def behind(error: Exception, first: BaseException) -> Exception:
    """An error that was raised while another one was dealt with."""
    error.__context__ = first
    return error


def test_a_full_disk_is_told_with_the_file_that_it_was_about() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/x.json")
    line = "data/x.json: No space left on device; make room, then run the same command again: "
    assert told(behind(RuntimeError("hook"), error)) == line + "what is finished stays"


def test_a_store_that_is_locked_is_told_as_such() -> None:
    line = told(LOCKED)
    assert line is not None and "another process holds it locked" in line and "\n" not in line


def test_the_failure_that_came_first_is_the_one_to_mend() -> None:
    assert told(behind(LOCKED, UserError("a.jsonl:3: drop the row"))) == "a.jsonl:3: drop the row"


def test_an_error_of_the_code_stays_one_also_where_one_that_could_be_mended_was_dealt_with() -> None:
    assert told(behind(KeyError("x"), UserError("a.jsonl:3: drop the row"))) is None
