"""A file is whole, or known not to be, whatever instant the process dies at."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import (
    UserError,
    atomic_file,
    digest_bytes,
    is_complete,
    marker_path,
    verify,
    write_bytes_atomic,
    write_text_atomic,
)

OLD, NEW = b"old content", b"new content, longer than the old"


def test_written_file_is_complete_and_verified(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.json"
    write_bytes_atomic(path, NEW)
    assert path.read_bytes() == NEW
    assert is_complete(path)
    verify(path)
    assert marker_path(path) == path.parent / ".a.json.sha256"
    assert sorted(p.name for p in path.parent.iterdir()) == [".a.json.sha256", "a.json"]


def test_marker_is_readable_by_sha256sum(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "a.bin", NEW)
    assert (tmp_path / ".a.bin.sha256").read_text() == f"{digest_bytes(NEW)}  a.bin\n"
    subprocess.run(["sha256sum", "--check", "--strict", ".a.bin.sha256"], cwd=tmp_path, check=True)


def test_text_is_utf8_with_line_ends_kept(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "é\r\n→\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\n→\n".encode()


def test_temporary_keeps_the_suffix_and_the_directory(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        temporary.write_bytes(NEW)
    assert (tmp_path / "a.npz").read_bytes() == NEW


def test_exception_in_the_block_leaves_the_old_file_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, OLD)
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        temporary.write_bytes(NEW)
        raise KeyboardInterrupt
    verify(path)
    assert path.read_bytes() == OLD
    assert len(list(tmp_path.iterdir())) == 2


def test_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_file_without_marker_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(NEW)
    assert not is_complete(path)
    with pytest.raises(UserError, match=r"a\.bin: incomplete"):
        verify(path)


@pytest.mark.parametrize(
    "marker",
    [b"", b"abc", digest_bytes(NEW).encode(), f"{digest_bytes(NEW)}  other.bin\n".encode(), b"\xff\xfe"],
    ids=["empty", "short", "no name", "other name", "not text"],
)
def test_malformed_marker_is_no_marker(tmp_path: Path, marker: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(NEW)
    marker_path(path).write_bytes(marker)
    assert not is_complete(path)
    with pytest.raises(UserError, match="incomplete"):
        verify(path)


def test_marker_without_file_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, NEW)
    path.unlink()
    assert not is_complete(path)
    with pytest.raises(UserError, match="no such file"):
        verify(path)


def test_verify_notices_one_changed_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, NEW)
    path.write_bytes(NEW[:-1] + b"X")
    with pytest.raises(UserError, match="does not match its digest"):
        verify(path)


def assert_old_new_or_incomplete(path: Path, old: bytes | None) -> None:
    if is_complete(path):
        verify(path)
        assert path.read_bytes() in (old, NEW)
    else:
        with pytest.raises(UserError):
            verify(path)


PRIMITIVES = [
    (os, "replace"),
    (os, "fsync"),
    (Path, "write_bytes"),
    (Path, "write_text"),
    (Path, "unlink"),
]
# Content: write, fsync. Old marker: unlink, fsync. Rename, fsync. New marker: write, fsync, rename, fsync.
# Then the two temporaries are unlinked (already gone).
STEPS = 2 + 2 + 2 + 4 + 2


def test_step_count_of_a_write(tmp_path: Path, faults: Any) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, OLD)
    steps = faults.count(PRIMITIVES, lambda: write_bytes_atomic(path, NEW))
    assert steps == STEPS, "the fault tests below must reach every step"


@pytest.mark.parametrize("old", [None, OLD], ids=["fresh", "overwrite"])
@pytest.mark.parametrize("step", range(STEPS))
def test_error_at_any_step(tmp_path: Path, faults: Any, step: int, old: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if old is not None:
        write_bytes_atomic(path, old)
    faults.error_at(step, PRIMITIVES, lambda: write_bytes_atomic(path, NEW))
    assert_old_new_or_incomplete(path, old)
    write_bytes_atomic(path, NEW)
    verify(path)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("old", [None, OLD], ids=["fresh", "overwrite"])
@pytest.mark.parametrize("step", range(STEPS))
def test_process_killed_at_any_step(tmp_path: Path, faults: Any, step: int, old: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if old is not None:
        write_bytes_atomic(path, old)
    faults.kill_at(step, PRIMITIVES, lambda: write_bytes_atomic(path, NEW))
    assert_old_new_or_incomplete(path, old)
    write_bytes_atomic(path, NEW)
    verify(path)
    assert path.read_bytes() == NEW
    assert len(list(tmp_path.iterdir())) == 2, "the dead process's temporaries are swept"


def test_half_written_temporary_is_never_taken_for_the_file(tmp_path: Path, faults: Any) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, OLD)

    def write_half() -> None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(NEW[:5])
            os.replace(temporary, temporary)

    faults.kill_at(0, [(os, "replace")], write_half)
    verify(path)
    assert path.read_bytes() == OLD


def test_what_a_live_process_is_writing_is_not_swept(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with atomic_file(path) as outer:
        outer.write_bytes(OLD)
        write_bytes_atomic(path, NEW)
        assert outer.exists()
    assert path.read_bytes() == OLD
    verify(path)


def test_order_on_disk_survives_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renames only after the content is synced; the old marker gone from disk before the content changes."""
    path = tmp_path / "a.bin"
    write_bytes_atomic(path, OLD)
    events: list[str] = []
    real_fsync, real_replace, real_unlink = os.fsync, os.replace, Path.unlink

    def fsync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append("sync dir" if name.is_dir() else "sync file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        events.append(f"rename {target.name}")
        real_replace(source, target)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.exists():
            events.append(f"remove {self.name}")
        real_unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    write_bytes_atomic(path, NEW)
    assert events == [
        "sync file",
        "remove .a.bin.sha256",
        "sync dir",
        "rename a.bin",
        "sync dir",
        "sync file",
        "rename .a.bin.sha256",
        "sync dir",
    ]
