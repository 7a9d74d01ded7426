"""What a disk refuses is said with the file, what it takes and what is free; nothing else is."""

import errno
import os
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import (
    DiskError,
    UserError,
    atomic_directory,
    atomic_file,
    disk_reason,
    require_room,
    write_bytes_atomic,
)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)


def test_of_a_file_whose_size_is_known_what_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes(monkeypatch, 1_000_000)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(FULL))
    with pytest.raises(DiskError) as error:
        write_bytes_atomic(tmp_path / "page.html", bytes(3_000_000))
    # What was written of it is free again.
    assert str(error.value).startswith(f"{tmp_path / 'page.html'}: No space left on device: 3.0 MB of it")
    free_bytes(monkeypatch, 0)
    missing = r"it takes 4\.0 MB, 4\.0 MB more than are free; make room, then run"
    with pytest.raises(DiskError, match=missing), atomic_file(tmp_path / "page.html", 4_000_000):
        raise FULL


def test_a_folder_asks_for_room_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_bytes(monkeypatch, 1_000_000)
    missing = r"model: No space left on device: it takes 9\.0 MB, 8\.0 MB more"
    with pytest.raises(DiskError, match=missing), atomic_directory(tmp_path / "model") as directory:
        require_room(directory, 9_000_000)
    require_room(tmp_path, 1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_disk_is_named_as_such(tmp_path: Path) -> None:
    said = "x: Input/output error; see to the disk, then run the same command"
    with pytest.raises(DiskError, match=said), atomic_file(tmp_path / "x"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
    ],
)
def test_the_disk_is_heard_through_the_words_of_libraries(error: Exception) -> None:
    assert disk_reason(error) is not None
    wrapped = ValueError("cannot be saved")
    wrapped.__cause__ = error
    assert disk_reason(wrapped) == disk_reason(error)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ValueError("space"), TimeoutError()])
def test_other_errors_pass_as_they_are(error: Exception, tmp_path: Path) -> None:
    assert disk_reason(error) is None
    with pytest.raises(type(error)) as raised, atomic_file(tmp_path / "x"):
        raise error
    assert raised.value is error


def test_what_people_can_mend_themselves_is_not_said_otherwise(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^row 3$"), atomic_file(tmp_path / "x"):
        raise UserError("row 3") from FULL
