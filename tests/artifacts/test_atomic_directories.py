"""A directory appears whole, with the digest of every file, or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import (
    MANIFEST_NAME,
    UserError,
    atomic_directory,
    digest_bytes,
    is_complete,
    read_manifest,
    verify,
    write_bytes_atomic,
)

OLD = {"weights.bin": b"old", "gone.txt": b"x"}
NEW = {"weights.bin": b"new weights", "sub/config.json": b"{}", "empty": b""}


def write(path: Path, files: dict[str, bytes]) -> None:
    with atomic_directory(path) as directory:
        for name, data in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(data)


def content(path: Path) -> dict[str, bytes]:
    files = (p for p in path.rglob("*") if p.is_file() and p.name != MANIFEST_NAME)
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write(tmp_path / "model", NEW)
    return tmp_path / "model"


def test_written_directory_is_complete_and_verified(model: Path) -> None:
    assert is_complete(model)
    verify(model)
    assert content(model) == NEW
    assert [p.name for p in model.parent.iterdir()] == ["model"]


def test_manifest_lists_digest_and_size_of_every_file(model: Path) -> None:
    assert json.loads((model / MANIFEST_NAME).read_text()) == {
        "files": {name: {"sha256": digest_bytes(data), "bytes": len(data)} for name, data in NEW.items()}
    }
    assert set(read_manifest(model).files) == set(NEW)


def test_equal_content_gives_equal_manifests(tmp_path: Path, model: Path) -> None:
    write(tmp_path / "again", dict(reversed(NEW.items())))
    assert (tmp_path / "again" / MANIFEST_NAME).read_bytes() == (model / MANIFEST_NAME).read_bytes()


def test_replaces_an_older_directory_entirely(tmp_path: Path) -> None:
    write(tmp_path / "model", OLD)
    write(tmp_path / "model", NEW)
    verify(tmp_path / "model")
    assert content(tmp_path / "model") == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_replaces_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    write(tmp_path / "model", NEW)
    verify(tmp_path / "model")


def test_exception_in_the_block_leaves_the_old_directory(tmp_path: Path) -> None:
    write(tmp_path / "model", OLD)
    with pytest.raises(KeyboardInterrupt), atomic_directory(tmp_path / "model") as directory:
        (directory / "weights.bin").write_bytes(b"half")
        raise KeyboardInterrupt
    verify(tmp_path / "model")
    assert content(tmp_path / "model") == OLD
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", sorted(NEW))
def test_missing_file_is_incomplete(model: Path, name: str) -> None:
    (model / name).unlink()
    assert not is_complete(model)
    with pytest.raises(UserError, match="missing"):
        verify(model)


def test_truncated_file_is_incomplete(model: Path) -> None:
    (model / "weights.bin").write_bytes(b"new")
    assert not is_complete(model)


def test_changed_byte_is_found_by_verify(model: Path) -> None:
    (model / "weights.bin").write_bytes(b"new weightZ")
    assert is_complete(model), "same size: the cheap check cannot see it"
    with pytest.raises(UserError, match=r"weights\.bin: content does not match"):
        verify(model)


def test_unlisted_file_is_found_by_verify(model: Path) -> None:
    (model / "extra.py").write_text("print()")
    with pytest.raises(UserError, match=r"extra\.py: not in MANIFEST"):
        verify(model)


def test_link_smuggled_in_is_found_by_verify(model: Path) -> None:
    (model / "empty").unlink()
    (model / "empty").symlink_to("/dev/null")
    with pytest.raises(UserError, match="links"):
        verify(model)


@pytest.mark.parametrize("text", ["", "[]", '{"files":{"a":{"sha256":"1","bytes":0}}}', '{"files":{},"x":1}'])
def test_malformed_manifest_is_incomplete(model: Path, text: str) -> None:
    (model / MANIFEST_NAME).write_text(text)
    assert not is_complete(model)
    with pytest.raises(UserError, match=MANIFEST_NAME):
        verify(model)


def test_manifest_cannot_point_out_of_the_directory(model: Path) -> None:
    write_bytes_atomic(model.parent / "secret", b"s")
    entry = {"sha256": digest_bytes(b"s"), "bytes": 1}
    files = json.loads((model / MANIFEST_NAME).read_text())["files"] | {"../secret": entry}
    (model / MANIFEST_NAME).write_text(json.dumps({"files": files}))
    with pytest.raises(UserError, match=r"secret: missing"):
        verify(model)


def test_directory_without_manifest_is_incomplete(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert not is_complete(tmp_path / "model")
    with pytest.raises(UserError, match="incomplete"):
        verify(tmp_path / "model")


def test_block_may_not_leave_links_or_its_own_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="links"), atomic_directory(tmp_path / "model") as directory:
        (directory / "link").symlink_to("/etc/hostname")
    with (
        pytest.raises(UserError, match="written by the seal"),
        atomic_directory(tmp_path / "model") as directory,
    ):
        (directory / MANIFEST_NAME).write_text("{}")
    assert list(tmp_path.iterdir()) == []


PRIMITIVES = [(os, "replace"), (os, "fsync"), (Path, "write_text"), (shutil, "rmtree")]
# Syncs of three files; manifest written and synced; two directories synced; old one aside, new one in place,
# parent synced; old one removed.
STEPS = 3 + 2 + 2 + 3 + 1


def test_step_count_of_a_replacement(tmp_path: Path, faults: Any) -> None:
    path = tmp_path / "model"
    write(path, OLD)
    steps = faults.count(PRIMITIVES, lambda: write(path, NEW))
    assert steps == STEPS, "the fault tests below must reach every step"


@pytest.mark.parametrize("step", range(STEPS))
def test_error_at_any_step_leaves_old_or_new(tmp_path: Path, faults: Any, step: int) -> None:
    path = tmp_path / "model"
    write(path, OLD)
    faults.error_at(step, PRIMITIVES, lambda: write(path, NEW))
    verify(path)
    assert content(path) in (OLD, NEW)


@pytest.mark.parametrize("step", range(STEPS))
def test_process_killed_at_any_step(tmp_path: Path, faults: Any, step: int) -> None:
    path = tmp_path / "model"
    write(path, OLD)
    faults.kill_at(step, PRIMITIVES, lambda: write(path, NEW))
    if is_complete(path):
        verify(path)
        assert content(path) in (OLD, NEW)
    else:
        assert not path.exists()
    write(path, NEW)
    verify(path)
    assert content(path) == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["model"], "the dead process's temporaries are swept"
